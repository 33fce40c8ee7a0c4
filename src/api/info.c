/* SPDX-License-Identifier: MIT */
/* What the library tells about itself. */
#include "api/api.h"
#include "host/fd.h"
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

static const int public_kind[NR_API_KINDS] = {
	[API_SYSTEM] = ANYKVM_FD_SYSTEM, [API_VM] = ANYKVM_FD_VM,
	[API_VCPU] = ANYKVM_FD_VCPU,	 [API_USERFAULT] = ANYKVM_FD_USERFAULT,
	[API_DEVICE] = ANYKVM_FD_DEVICE, [API_STATS] = ANYKVM_FD_STATS,
	[API_GMEM] = ANYKVM_FD_GMEM,
};

int anykvm_fd_kind(int fd)
{
	bool ours = fd_is_ours(fd);
	int kind = ANYKVM_FD_FOREIGN;
	enum api_role role;
	struct file *f;

	if (!ours && !host_fd_is_kept(fd))
		return ANYKVM_FD_FOREIGN;
	role = api_role_exact();
	if (role == API_NOBODY)
		return ANYKVM_FD_FOREIGN;
	if (!ours)
		return role == API_OWNER ? ANYKVM_FD_INTERNAL : ANYKVM_FD_FOREIGN;
	/* A child's table is a copy, whose entries keep what they name. */
	if (role == API_CHILD)
		return public_kind[fd_kind_in_child(fd)];
	library_enter();
	f = fd_get(fd, false);
	if (f) {
		kind = public_kind[api_kind_of(f)];
		file_put(f);
	}
	library_exit();
	return kind;
}

const char *anykvm_request_name(int kind, unsigned long request)
{
	for (u32 k = 0; k < NR_API_KINDS; k++) {
		const struct ioctl_table *t = ioctl_tables[k];

		for (u32 i = 0; t && public_kind[k] == kind && i < t->nr; i++)
			if (t->row[i].request == (u32)request)
				return t->row[i].name;
	}
	return NULL;
}
