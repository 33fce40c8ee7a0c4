/* SPDX-License-Identifier: MIT */
/* Children of a program that has a machine: by fork, vfork, and what they start. */
#include <spawn.h>
#include <sys/wait.h>

#include "../api/vmm.h"
#include "preload.h"

extern char **environ;

static int status_of(pid_t pid)
{
	int status = -1;

	ASSERT(pid > 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void expect_machine_works(struct machine *m, uint64_t value)
{
	struct code c = code_at(m, RAM);

	/* The same code each time: guests see new code only after cache maintenance of their own. */
	report(&c, 1, 0);
	code_done(m);
	set_x(m->vcpu[0], 1, value);
	EXPECT_EQ(set_reg(m->vcpu[0], CORE_REG(regs.pc), RAM), 0);
	EXPECT_REPORT(m, 0, 0, value);
	m->run[0]->immediate_exit = 1;
	EXPECT_ERRNO(run(m, 0), EINTR);
	m->run[0]->immediate_exit = 0;
}

static int in_child(struct machine *m)
{
	struct sigaction act = {.sa_handler = SIG_DFL};

	if (ioctl(m->vm, KVM_CREATE_VCPU, 5) != -1 || errno != EIO)
		return 1;
	if (open("/dev/kvm", O_RDWR) != -1 || errno != EIO)
		return 2;
	if (sigaction(SIGSEGV, &act, NULL))
		return 3;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	return fcntl(m->vm, F_GETFD) != -1 || errno != EBADF ? 4 : 0;
}

TEST(a_fork_child_has_no_use_of_its_parents_machine)
{
	struct machine m = machine_new(1);
	pid_t pid;

	expect_machine_works(&m, 1);
	pid = fork();
	if (!pid)
		_exit(in_child(&m));
	EXPECT_EQ(status_of(pid), 0);
	expect_machine_works(&m, 2);
	machine_free(&m);
}

TEST(a_vfork_child_closes_in_its_own_table_only)
{
	struct machine m = machine_new(1);
	pid_t pid = vfork();

	if (!pid) {
		close(m.vm);
		dup2(2, m.vcpu[0]);
		close_range(3, ~0u, 0);
		_exit(7);
	}
	EXPECT_EQ(status_of(pid), 7);
	expect_machine_works(&m, 3);
	machine_free(&m);
}

/* In the program that a child became: see main of the test. */
TEST(zz_a_started_program_makes_machines_of_its_own)
{
	struct machine m = machine_new(1);

	expect_machine_works(&m, 4);
	machine_free(&m);
}

TEST(a_program_that_a_child_starts_has_kvm_of_its_own)
{
	static char name[] = "processes", only[] = "zz_a_started";
	char *const args[] = {name, only, NULL};
	struct machine m = machine_new(1);
	pid_t pid = fork();
	int r;

	if (!pid) {
		execv("/proc/self/exe", args);
		_exit(errno == ENOEXEC ? 88 : 89);
	}
	r = status_of(pid);
	if (r == 88)
		SKIP("programs of this architecture cannot be started by the system: no binfmt for "
		     "qemu-user");
	EXPECT_EQ(r, 0);
	ASSERT_EQ(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ), 0);
	EXPECT_EQ(status_of(pid), 0);
	EXPECT_EQ(system("exit 3") >> 8, 3);
	expect_machine_works(&m, 5);
	machine_free(&m);
}
