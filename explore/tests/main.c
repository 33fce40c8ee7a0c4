/* SPDX-License-Identifier: MIT */
/* explore-corpus: the command over the explorer's own programs. */
#include "corpus.h"

int main(int argc, char **argv)
{
	return explore_main(argc, argv, &corpus_suite);
}
