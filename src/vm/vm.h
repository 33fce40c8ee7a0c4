/* SPDX-License-Identifier: MIT */
/*
 * One machine put together: guest memory, vCPUs, interrupt controller and timers, firmware calls, I/O buses; and the order in
 * which they come and go.
 *
 * struct vm. born: vm_create. seen by: its files, the notifier list (through mem), its vCPUs' callbacks. kept by: users, one
 * count each VM, vCPU, device and statistics file. hidden: vm_destroy step 1, once users is 0. freed: end of vm_destroy.
 *
 * struct vm_vcpu. born: vm_create_vcpu. seen by: the group's array from publication on. kept by: the VM alone (its file pins
 * the VM, not the vCPU). freed: vm_destroy.
 */
#ifndef ANYKVM_VM_VM_H
#define ANYKVM_VM_VM_H

#include "base/types.h"
#include "hvc/hvc.h"
#include "io/bus.h"
#include "io/coalesced.h"
#include "io/ioeventfd.h"
#include "irq/irq.h"
#include "mem/mem.h"
#include "sync/mutex.h"
#include "sync/ref.h"
#include "vcpu/vcpu.h"

/* Limits of this model, as told by the capabilities. */
#define VM_IPA_BITS_DEFAULT 40
#define VM_IPA_BITS_MIN	    32
#define VM_IPA_BITS_MAX	    48

#define VM_EXT_MEMORY_ATTRIBUTES BIT(0) /* ANYKVM_EXT_MEMORY_ATTRIBUTES */

struct vm_vcpu {
	struct vcpu v;
	struct vm *vm;
	int run_fd_at_birth; /* number of the vCPU's memory file, for the installer only */
	struct aptr run;     /* our mapping of its first page, NULL until vm_vcpu_map_run */
	void *ring;	     /* mapping of the dirty ring, NULL without */
};

struct vm {
	struct vm_mem mem;
	struct vcpu_group group;
	struct io_bus mmio, pio;
	struct coalesced coalesced;
	struct ioeventfds ioeventfds;
	struct vm_irq irq;
	struct vm_hvc hvc;
	struct ref users;
	/* --- lock (RANK_VM) --- */
	struct mutex lock; /* vCPU creation, device creation and attributes */
	u32 created_vcpus GUARDED_BY(lock);
	/* --- constant --- */
	u64 mm_id;	/* of the creator: admission */
	u64 extensions; /* VM_EXT_* of the handle */
	u64 number;	/* unique in the process: names of statistics */
};

/*
 * KVM_CREATE_VM: type as the request's argument. 0 and *out with one user count, or -EINVAL (type bits, IPA size), -ENOMEM.
 * No lock held.
 */
int vm_create(u64 type, u64 extensions, struct vm **out);
void vm_get(struct vm *vm);
/* The last put destroys: no lock held then (a file's release hook, or an undo that knows it is not the last). */
void vm_put(struct vm *vm);
/* The VM file is gone: descriptors of the VMM no longer drive interrupts. */
void vm_file_closed(struct vm *vm);

/*
 * KVM_CREATE_VCPU. install makes v reachable by the VMM (a descriptor) and returns its number or -errno; it runs with vm->lock
 * and v's mutex held, before the vCPU is published. Errors: -EINVAL (id, count), -EBUSY, -EEXIST, -ENOMEM, install's.
 */
typedef int vm_install_vcpu(void *ctx, struct vm_vcpu *vv);
int vm_create_vcpu(struct vm *vm, u64 id, vm_install_vcpu *install, void *ctx) EXCLUDES(&vm->lock);

/*
 * The memory of vv, behind fd (its descriptor or a copy), has its size and is mapped here. By whoever is first to map it or to run
 * the vCPU; needs no lock. 0 or -ENOMEM.
 */
int vm_vcpu_map_run(struct vm_vcpu *vv, int fd);

/* Where the dirty ring lies in a vCPU's descriptor: [start, end), empty without rings. */
void vm_ring_extent(const struct vm *vm, u64 *start, u64 *end);

/* By the id given at creation, NULL if there is none (or not yet online). */
struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id);

/* KVM_RUN, its argument checked, the vCPU's memory mapped. As vcpu_run, and the errors of settling devices before the first run. */
int vm_run_vcpu(struct vm *vm, struct vcpu *v) REQUIRES(&v->mutex);

/* The creator's address space, alive: else ioctls answer EIO. Takes no lock. */
bool vm_admits(const struct vm *vm);

extern const struct vcpu_vm_ops vm_vcpu_ops; /* vm_ops.c */
extern const struct engine_ops *const vm_engine;

static inline struct vm *vm_of_vcpu(const struct vcpu *v)
{
	return v->group->vm;
}

#endif
