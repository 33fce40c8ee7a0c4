/* SPDX-License-Identifier: MIT */
/*
 * What anykvm exec adds to a program's calls of KVM: a trace, failures, diagnoses, counts. Asked for by the environment, so that
 * programs started by the program have it too:
 *
 *	ANYKVM_TRACE, ANYKVM_STRICT, ANYKVM_STATS	not empty
 *	ANYKVM_FAIL	specs of fail_spec.h, separated by commas; ANYKVM_SEED a number
 *	ANYKVM_TRACE_FILE	where to write, appending; else to stderr
 *
 * Nothing of it runs unless it was asked for. Calls are observed from signal handlers and several threads: a line is one
 * write, what is kept is atomic or under a spin lock taken with all signals blocked, and nothing is allocated.
 */
#ifndef ANYKVM_PRELOAD_OBSERVE_H
#define ANYKVM_PRELOAD_OBSERVE_H

#include "preload.h"
#include "requests.h"

/* In place of a descriptor: no more lines; or it is opened for the first of them. */
enum { LOG_ENDED = -1, LOG_LATER = -2 };

struct observe {
	bool on; /* any of the rest */
	bool trace, fail, strict, stats;
	int fd;		     /* where lines go; atomic */
	int pid;	     /* of vfork's child, whose memory this is, too, it is not */
	bool used;	     /* this process has something to tell at its end */
	const char *file;    /* NULL: stderr */
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	uint64_t seed;
};
extern struct observe observe;

#define COPY_MAX 256

/* One call, from its start to its end. */
struct observed {
	const char *function; /* libc's name */
	const char *
		name; /* by which it can be made to fail and is counted: a request's, else the function's */
	int fd, kind;			    /* enum anykvm_fd_kind */
	unsigned long request, arg;	    /* of ioctl; arg also of open: flags */
	unsigned long addr, length, offset; /* of mmap and munmap */
	const struct request_info *info;    /* of an ioctl, or NULL */
	unsigned char before
		[COPY_MAX]; /* what arg points at, or its beginning; fields of info are inside */
	bool has_before;
	bool answers_read; /* KVM_RUN goes on after an MMIO read, for which the program left this */
	uint64_t read_data;
	char name_buffer[24];
	/* when it is over */
	long result;
	int error; /* errno if result is -1, else 0 */
	bool injected;
	uint64_t start_ns, end_ns;
};

/* Calls with a KVM descriptor, and requests of KVM with any other, in place of those of <anykvm.h>. All else passes. */
int observe_open(int flags);
int observe_close(int fd);
int observe_ioctl(int fd, unsigned long request, unsigned long arg);
void *observe_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
int observe_munmap(void *addr, size_t length);
int observe_copy(int fd, int copy);
/* Before the process ends without its destructors. */
void observe_finish(void);
/* Whether fd is one that observation keeps open. */
bool observe_keeps(int fd);
/* A descriptor for lines, out of the way of what the program counts on if there is room; -errno. O_NONBLOCK: no wait for a reader. */
int log_open(int flags);

/* --- state of descriptors: observe.c --- */

struct kvm_run;

/* What is known of a vCPU, or of a device, by its number. Zero: nothing. */
struct vcpu_state {
	struct kvm_run *run; /* mapped there, or NULL */
	bool unmapped;	     /* it was */
	int id;
	unsigned device;   /* its type; 0: it is none */
	int runner;	   /* thread of the last KVM_RUN */
	bool told_thread;  /* that it changed */
	bool told_mapping; /* that it is missing */
};

/* NULL for numbers out of the ordinary. */
struct vcpu_state *vcpu_state(int fd);

/* --- line.c: reading a program's memory --- */

/* False if it cannot be read: never a fault. */
bool peek(void *to, const void *from, size_t n);

/* --- line.c: what is written --- */

struct line {
	char text[1024];
	size_t n;
};

void line_add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As one write, with a newline. What did not fit is cut off. */
void line_write(struct line *l);

/* --- trace.c with trace_exit.c and trace_list.c, fail.c, strict.c, stats.c: each is called only if asked for --- */

void trace_call(const struct observed *o);
/* Whether a KVM_RUN ended for a reason that kvm_run tells: then a copy of it. */
bool run_ended(const struct observed *o, struct kvm_run *run);
void trace_exit_reason(struct line *l, const struct kvm_run *run);
void trace_list(struct line *l, const struct observed *o);
uint64_t mmio_data(const struct kvm_run *run);
const char *exit_reason_name(unsigned reason);

/* The errno with which this call is to fail, or 0. */
int fail_now(const char *name);
void fail_setup(const char *specs);
void fail_forked(void);

void strict_before(const struct observed *o);
void strict_after(const struct observed *o);
/* A VM's descriptor goes. */
void strict_forget(int vm);
void strict_munmap(const void *addr, size_t length);
void strict_finish(void);
void strict_forked(void);

void stats_forked(void);
void stats_count(const struct observed *o);
void stats_finish(void);

#endif
