/* SPDX-License-Identifier: MIT */
/* The less common names of functions, found as a program finds them that was linked with another libc. */
#include <dlfcn.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "../api/vmm.h"
#include "preload.h"

#define AREA (RAM + 0x10000000ull)

/* A function by its name, with the type that it has. */
#define CALL(type, name, params) ((type(*) params)function(name))

static void *function(const char *name)
{
	void *f = dlsym(RTLD_DEFAULT, name);

	ASSERT(f);
	return f;
}

TEST(other_names_of_descriptor_functions_know_kvms_descriptors)
{
	struct machine m = machine_without_vcpus();
	int stats = ioctl(m.vm, KVM_GET_STATS_FD, NULL), copy;
	char bytes[32];

	ANSWERS_AS_ARM64(CALL(int, "__open", (const char *, int, int))("/dev/kvm", O_RDWR, 0));
	ANSWERS_AS_ARM64(CALL(int, "__open64", (const char *, int, int))("/dev/kvm", O_RDWR, 0));
	EXPECT_EQ(CALL(ssize_t, "__read", (int, void *, size_t))(stats, bytes, 24), 24);
	EXPECT_EQ(CALL(ssize_t, "__pread64", (int, void *, size_t, off_t))(stats, bytes, 24, 0),
		  24);
	EXPECT_ERRNO(CALL(ssize_t, "__write", (int, const void *, size_t))(m.vm, bytes, 1), EINVAL);
	EXPECT_ERRNO(
		CALL(ssize_t, "__pwrite64", (int, const void *, size_t, off_t))(m.vm, bytes, 1, 0),
		ESPIPE);
	EXPECT_EQ(CALL(off_t, "__lseek", (int, off_t, int))(m.vm, 8, SEEK_SET), 0);
	copy = CALL(int, "__fcntl", (int, int, int))(m.vm, F_DUPFD, 100);
	EXPECT(ioctl(copy, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) > 0);
	EXPECT_EQ(CALL(int, "__close", (int))(copy), 0);
	EXPECT_EQ(CALL(int, "__dup2", (int, int))(m.vm, 200), 200);
	EXPECT(ioctl(200, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) > 0);
	close(200);
	close(stats);
	machine_free(&m);
}

TEST(other_functions_of_names_know_the_device)
{
	char *(*real_path)(const char *, char *) = function("realpath");
	char path[PATH_MAX], *name;
	FILE *f = CALL(FILE *, "fopen64", (const char *, const char *))("/dev/kvm", "r+");

	ASSERT(f);
	EXPECT_EQ(ioctl(fileno(f), KVM_GET_API_VERSION, 0), 12);
	fclose(f);
	EXPECT(real_path("//dev/./kvm", path) == path && !strcmp(path, "/dev/kvm"));
	memset(path, 0, sizeof(path));
	name = CALL(char *, "__realpath_chk", (const char *, char *, size_t))("/dev/kvm", path,
									      sizeof(path));
	EXPECT(name == path && !strcmp(path, "/dev/kvm"));
	name = CALL(char *, "canonicalize_file_name", (const char *))("/dev/kvm");
	EXPECT(name && !strcmp(name, "/dev/kvm"));
	free(name);
	EXPECT(real_path("/proc/self/..", path) && !strcmp(path, "/proc"));
	errno = 0;
	EXPECT(!real_path("/nonexistent/kvm", path) && errno == ENOENT);
}

static void ignore(int signo)
{
}

TEST(other_names_of_signal_know_the_programs_handler)
{
	static const char *const names[] = {"bsd_signal", "ssignal", "__sysv_signal"};
	struct machine m = machine_new(1);
	struct sigaction old;

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		EXPECT(CALL(sighandler_t, names[i], (int, sighandler_t))(SIGSEGV, ignore) ==
		       SIG_DFL);
		EXPECT_ERRNO(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION, bad_pointer()), EFAULT);
		EXPECT_EQ(
			CALL(int, "__sigaction", (int, const void *, void *))(SIGSEGV, NULL, &old),
			0);
		EXPECT(old.sa_handler == ignore);
		signal(SIGSEGV, SIG_DFL);
	}
	machine_free(&m);
}

TEST(rare_changes_of_memory_are_made)
{
	struct machine m = machine_new(0);
	struct kvm_create_guest_memfd g = {.size = 4 * PAGE};
	int gmem = ioctl(m.vm, KVM_CREATE_GUEST_MEMFD, &g), fd = memfd_create("pages", MFD_CLOEXEC);
	unsigned char *p;
	int r;

	EXPECT_EQ(CALL(int, "posix_fallocate64", (int, off_t, off_t))(gmem, 0, PAGE), EOPNOTSUPP);
	EXPECT_EQ(CALL(int, "posix_fallocate64", (int, off_t, off_t))(fd, 0, 4 * PAGE), 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(p != MAP_FAILED);
	p[2 * PAGE] = 7;
	EXPECT_EQ(set_slot(m.vm, 1, 0, AREA, 4 * PAGE, p), 0);
	r = CALL(int, "remap_file_pages", (void *, size_t, int, size_t, int))(p, PAGE, 0, 2, 0);
	EXPECT(r == 0 ? p[0] == 7 : errno == ENOSYS);
	/* A process that is none. */
	EXPECT_EQ(syscall(SYS_process_madvise, -1l, NULL, 0l, MADV_DONTNEED, 0l), -1);
	munmap(p, 4 * PAGE);
	close(fd);
	close(gmem);
	machine_free(&m);
}

TEST(both_names_of_exit_end_the_process)
{
	static const char *const names[] = {"_exit", "_Exit"};
	int status;

	for (unsigned i = 0; i < 2; i++) {
		void (*leave)(int) = function(names[i]);
		pid_t pid = fork();

		if (!pid)
			leave(5 + i);
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 5 + (int)i);
	}
}
