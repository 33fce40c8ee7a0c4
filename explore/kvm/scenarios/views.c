/* SPDX-License-Identifier: MIT */
/*
 * The list of an inode's views: a view is opened while a hole or a memory error walks the list. No request opens a second view, so that is
 * done on the interface of mem/.
 */
#include <fcntl.h>
#include <linux/falloc.h>

#include "api/api.h"
#include "explore/kvm/kit.h"
#include "explore/kvm/scenarios/scenarios.h"
#include "mem/gmem_inode.h"

#define GPA 0x30000ull

static int vm, other_vm, gmem, punched, failed;
static struct file *file;
static struct gmem_file *view, *view_too;

static void setup_views(void)
{
	int error;

	vm = kit_vm();
	gmem = kit_gmem(vm, 1);
	explore_check(!kit_gmem_slot(vm, 1, GPA, 1, gmem));
	other_vm = kit_vm();
	library_enter();
	file = gmem_fd_get(gmem, &error);
	library_exit();
	explore_check(file);
	view = view_too = NULL;
	punched = failed = 0;
}

static struct gmem_file *open_another(void)
{
	struct gmem_file *gf;

	explore_step("another view of the inode");
	library_enter();
	gf = gmem_file_open(&kit_vm_of(other_vm)->mem, gmem_inode_of(file->gmem));
	library_exit();
	explore_check(gf);
	return gf;
}

static void open_view(void)
{
	view = open_another();
}

static void open_view_too(void)
{
	view_too = open_another();
}

static void punch(void)
{
	explore_step("fallocate(gmem, PUNCH_HOLE)");
	punched = anykvm_fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
}

static void memory_error(void)
{
	explore_step("a memory error in the page");
	library_enter();
	failed = gmem_error(gmem_inode_of(file->gmem), 0, 4096, NULL);
	library_exit();
}

static void finish_views(void)
{
	explore_check(!punched && !failed);
	explore_check(!kit_vm_of(vm)->mem.inv_in_progress);
	explore_check(!kit_vm_of(other_vm)->mem.inv_in_progress);
	if (view)
		gmem_file_release(view);
	if (view_too)
		gmem_file_release(view_too);
	file_put(file);
	kit_close(gmem);
	kit_close(vm);
	kit_close(other_vm);
}

const struct explore_scenario scenario_gmem_open_and_punch = {
	.name = "gmem-open-and-punch",
	.summary = "two more views of an inode are opened while a hole is punched",
	.property = "no view is lost from the list, and none is walked half linked",
	.source = "found by mutation: without the lock of the list nothing else failed",
	.setup = setup_views,
	.thread = {{"punch", punch}, {"open", open_view}, {"open too", open_view_too}},
	.finish = finish_views,
};

const struct explore_scenario scenario_gmem_error_and_open = {
	.name = "gmem-error-and-open",
	.summary = "a view of an inode is opened while a memory error takes a page away",
	.property = "what an error raises it lowers again, whatever views come",
	.source = "found by mutation: errors walk the list of views as holes do",
	.setup = setup_views,
	.thread = {{"error", memory_error}, {"open", open_view}},
	.finish = finish_views,
};
