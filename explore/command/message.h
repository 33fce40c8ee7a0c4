/* SPDX-License-Identifier: MIT */
/* What a worker sends. All but the first are text with its zero. */
#ifndef ANYKVM_EXPLORE_MESSAGE_H
#define ANYKVM_EXPLORE_MESSAGE_H

#include "command/item.h"

enum message_type {
	MSG_PROGRESS, /* struct search_result of this piece so far; its pointers are the worker's */
	MSG_ORDER,    /* engine_lock_order_export() */
	MSG_FOUND,    /* schedule of a violation */
	MSG_PIECE,    /* the result of a piece: part_run() */
	MSG_BROKEN,   /* why nothing can be said */
	MSG_SCHEDULE, /* the tale: these */
	MSG_VERDICT,
	MSG_ID,
	MSG_TEXT,
	MSG_JSON,
	MSG_HTML,
};

#endif
