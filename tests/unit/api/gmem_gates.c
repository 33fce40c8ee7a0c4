/* SPDX-License-Identifier: MIT */
/* guest_memfd at the API with a thread stopped in the middle: host mappings against holes and memory errors. */
#include "../../api/gmem.h"
#include "host/alloc.h"
#include "mem/hook.h"
#include "sync/rcu.h"

#include <sched.h>

static _Atomic int inside, go;

static void stop_there(int id, void *what)
{
	inside = 1;
	while (!go)
		sched_yield();
}

static void arm(enum mem_hook id)
{
	inside = go = 0;
	aptr_store_release(&mem_process()->hook[id], stop_there);
}

static void disarm(enum mem_hook id)
{
	aptr_store_release(&mem_process()->hook[id], NULL);
	go = 1;
}

struct call {
	pthread_t thread;
	int fd;
	unsigned char *at; /* what to change, or where to map */
	void *mapped;
	_Atomic int done;
};

static void *punch(void *arg)
{
	struct call *c = arg;

	EXPECT_EQ(fallocate(c->fd, PUNCH, 0, SIZE), 0);
	return NULL;
}

static void *poison(void *arg)
{
	struct call *c = arg;

	EXPECT_EQ(madvise(c->at, PAGE, MADV_HWPOISON), 0);
	return NULL;
}

static void *map_there(void *arg)
{
	struct call *c = arg;

	c->mapped = mmap(c->at, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, c->fd, 0);
	c->done = 1;
	return NULL;
}

/* A mapping that is made while a change is under way, over the place of an ordinary slot. */
static void map_amid(void *(*change)(void *), enum mem_hook at, unsigned char **where,
		     struct machine *m, int fd, unsigned char *p)
{
	struct call change_call = {.fd = fd, .at = p}, map_call = {.fd = fd};

	map_call.at = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(map_call.at != MAP_FAILED);
	ASSERT_EQ(set_slot(m->vm, 2, 0, GPA + SIZE, SIZE, map_call.at), 0);
	arm(at);
	ASSERT_EQ(pthread_create(&change_call.thread, NULL, change, &change_call), 0);
	while (!inside)
		sched_yield();
	ASSERT_EQ(pthread_create(&map_call.thread, NULL, map_there, &map_call), 0);
	sleep_ms(30);
	/* the change has looked for mappings already: a new one would not be told */
	EXPECT_EQ(map_call.done, 0);
	disarm(at);
	pthread_join(change_call.thread, NULL);
	pthread_join(map_call.thread, NULL);
	ASSERT(map_call.mapped == map_call.at);
	*where = map_call.at;
}

TEST(I37_a_mapping_waits_for_a_hole_that_has_looked_for_mappings)
{
	unsigned char *p, *q;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	map_amid(punch, HOOK_GMEM_PUNCH, &q, &m, fd, p);
	say(q, GPA + SIZE, 1);
	restart_at(&m, GPA + SIZE, 0);
	EXPECT_REPORT(&m, 0, 0, 1);
	munmap(p, SIZE);
	munmap(q, SIZE);
	close(fd);
	machine_free(&m);
}

TEST(a_mapping_waits_for_a_memory_error_and_has_it)
{
	unsigned char *p, *q;
	int fd;
	struct machine m = machine_with_gmem(&fd, &p);

	p[0] = 1;
	map_amid(poison, HOOK_GMEM_ERROR, &q, &m, fd, p);
	EXPECT_EQ(touch_fails(q), 1);
	EXPECT_EQ(touch_fails(q + PAGE), 0);
	EXPECT_EQ(fallocate(fd, PUNCH, 0, SIZE), 0);
	EXPECT_EQ(touch_fails(q), 0);
	EXPECT_EQ(q[0], 0);
	munmap(p, SIZE);
	munmap(q, SIZE);
	close(fd);
	machine_free(&m);
}

TEST(I01_a_slot_that_names_another_kind_of_descriptor_keeps_nothing)
{
	uint64_t objects = 0;

	/* the first round makes what the library keeps for good */
	for (int round = 0; round < 3; round++) {
		struct machine m = machine_new(1);

		EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, m.vm, 0), EINVAL);
		EXPECT_ERRNO(gmem_slot(m.vm, 1, GPA, SIZE, m.vcpu[0], 0), EINVAL);
		machine_free(&m);
		rcu_barrier();
		if (round == 1)
			objects = host_alloc_objects();
	}
	EXPECT_EQ(host_alloc_objects(), objects);
}

static void on_kick(int sig)
{
}

/*
 * I-32. The library itself reads guest memory for a vCPU (here its record of stolen time). If that is the last use of the file,
 * the release is the vCPU thread's to run, once it has left: it may neither stay in the guest nor sleep.
 */
static void last_reference_in_kvm_run(void (*guest_code)(struct machine *))
{
	uint64_t record = GPA;
	struct kvm_device_attr a = {.group = KVM_ARM_VCPU_PVTIME_CTRL,
				    .attr = KVM_ARM_VCPU_PVTIME_IPA,
				    .addr = (uintptr_t)&record};
	struct sigaction kick = {.sa_handler = on_kick};
	struct machine m = machine_new(1);
	int fd = gmem_new(m.vm, SIZE, SHARED);
	struct runner r;

	sigaction(SIGUSR1, &kick, NULL);
	guest_code(&m);
	ASSERT_EQ(gmem_slot(m.vm, 1, GPA, SIZE, fd, 0), 0);
	ASSERT_EQ(ioctl(m.vcpu[0], KVM_SET_DEVICE_ATTR, &a), 0);
	arm(HOOK_GMEM_GOT);
	runner_start(&r, &m, 0);
	while (!inside)
		sched_yield();
	EXPECT_EQ(close(fd), 0);
	disarm(HOOK_GMEM_GOT);
	for (int i = 0; i < 5000 && !r.done; i++)
		sleep_ms(1);
	EXPECT_EQ(r.done, 1);
	if (!r.done)
		runner_interrupt(&r, SIGUSR1);
	else
		runner_join(&r);
	EXPECT_EQ(r.result, -1);
	EXPECT_EQ(r.error, EINTR);
	/* and released it was */
	restart_at(&m, RAM + PAGE, GPA);
	EXPECT_ERRNO(run(&m, 0), EFAULT);
	machine_free(&m);
}

/* What loads from x1 is a page further. */
static void loader(struct machine *m)
{
	struct code c = code_at(m, RAM + PAGE);

	ldr(&c, 8, 2, 1, 0);
	b_to(&c, RAM + PAGE);
	code_done(m);
}

static void spins(struct machine *m)
{
	struct code c = code_at(m, RAM);

	loader(m);
	b_to(&c, RAM);
	code_done(m);
}

static void sleeps(struct machine *m)
{
	struct code c = code_at(m, RAM);

	loader(m);
	put(&c, A64_WFI);
	b_to(&c, RAM);
	code_done(m);
}

TEST(I32_a_vcpu_that_owes_a_release_leaves_its_guest)
{
	last_reference_in_kvm_run(spins);
}

TEST(I32_a_vcpu_that_owes_a_release_does_not_sleep)
{
	last_reference_in_kvm_run(sleeps);
}
