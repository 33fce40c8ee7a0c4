/* SPDX-License-Identifier: MIT */
/* What the library tells about itself. */
#include "api/api.h"
#include "vcpu/idregs.h"

#define STRING(x)  #x
#define VERSION(x) STRING(x)

const char *anykvm_version(void)
{
	return VERSION(ANYKVM_VERSION_MAJOR) "." VERSION(ANYKVM_VERSION_MINOR) "." VERSION(
		ANYKVM_VERSION_PATCH);
}

const char *anykvm_engine_name(void)
{
	return vm_engine->name;
}

const char *anykvm_feature_name(unsigned int n)
{
	return n < nr_idreg_fields ? idreg_fields[n].name : NULL;
}
