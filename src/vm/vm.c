/* SPDX-License-Identifier: MIT */
/* Creation and destruction of a VM. The order is what keeps every pointer alive for those who may still follow it. */
#include "vm/vm.h"

#include <errno.h>

#include "anykvm/kvm.h"
#include "base/bug.h"
#include "host/alloc.h"
#include "host/fd.h"
#include "host/guarded.h"
#include "host/identity.h"
#include "host/pages.h"
#include "host/vma.h"
#include "sync/thread.h"

static int vm_ipa_bits(u64 type)
{
	u64 bits = type & KVM_VM_TYPE_ARM_IPA_SIZE_MASK;

	/* No protected VMs; other bits mean nothing. */
	if (type & ~KVM_VM_TYPE_ARM_IPA_SIZE_MASK)
		return -EINVAL;
	if (!bits)
		return VM_IPA_BITS_DEFAULT;
	if (bits < VM_IPA_BITS_MIN || bits > VM_IPA_BITS_MAX)
		return -EINVAL;
	return bits;
}

static void vm_init_io(struct vm *vm)
{
	io_bus_init(&vm->mmio);
	io_bus_init(&vm->pio);
	coalesced_init(&vm->coalesced, &vm->mmio, &vm->pio);
	ioeventfds_init(&vm->ioeventfds, &vm->mmio, &vm->pio);
}

static void vm_fini_io(struct vm *vm)
{
	io_bus_fini(&vm->mmio);
	io_bus_fini(&vm->pio);
	coalesced_fini(&vm->coalesced);
}

int vm_create(u64 type, u64 extensions, struct vm **out)
{
	int ipa_bits = vm_ipa_bits(type), r;
	struct vm *vm;

	if (ipa_bits < 0)
		return ipa_bits;
	guarded_install();
	vm = NEW(struct vm);
	if (!vm)
		return -ENOMEM;
	ref_init(&vm->users, 1);
	mutex_init(&vm->lock, RANK_VM, "vm");
	vm->mm_id = host_mm_id();
	vm->extensions = extensions;
	vm_init_io(vm);
	/* Registers with the notifier and waits for the pairs in flight, so the rest may be reached by nothing earlier (I-06). */
	r = mem_init(&vm->mem, ipa_bits);
	if (r)
		goto fail_io;
	vm->mem.attributes_on = extensions & VM_EXT_MEMORY_ATTRIBUTES;
	vcpu_group_init(&vm->group, &vm->mem, &vm_vcpu_ops, vm);
	r = irq_vm_init(&vm->irq, &vm->group);
	if (r)
		goto fail_mem;
	r = hvc_vm_init(&vm->hvc, &vm->group);
	if (r)
		goto fail_irq;
	vm->number = vm->mem.mmu.id;
	*out = vm;
	return 0;

fail_irq:
	irq_vm_stop(&vm->irq);
	irq_vm_fini(&vm->irq);
fail_mem:
	mem_stop_notifier(&vm->mem);
	mem_fini(&vm->mem);
fail_io:
	vm_fini_io(vm);
	mutex_fini(&vm->lock);
	DELETE(vm);
	return r;
}

void vm_get(struct vm *vm)
{
	ref_get(&vm->users);
}

_Static_assert(sizeof(struct dirty_ring_entry) == sizeof(struct kvm_dirty_gfn) &&
		       offsetof(struct dirty_ring_entry, slot) ==
			       offsetof(struct kvm_dirty_gfn, slot) &&
		       offsetof(struct dirty_ring_entry, offset) ==
			       offsetof(struct kvm_dirty_gfn, offset),
	       "entry of a dirty ring");

void vm_ring_extent(const struct vm *vm, u64 *start, u64 *end)
{
	*start = KVM_DIRTY_LOG_PAGE_OFFSET * host_page_size();
	*end = *start + vm->mem.ring_bytes;
}

static void vm_free_vcpu(struct vm_vcpu *vv)
{
	struct vcpu *v = &vv->v;

	hvc_vcpu_fini(v);
	irq_vcpu_fini(v);
	vcpu_fini(v);
	if (aptr_load_relaxed(&vv->run))
		host_munmap(aptr_load_relaxed(&vv->run), host_page_size());
	if (vv->ring)
		host_munmap(vv->ring, vv->vm->mem.ring_bytes);
	DELETE(vv);
}

/* No lock held, nobody can find the VM any more. */
static void vm_destroy(struct vm *vm)
{
	u32 nr = a32_load_relaxed(&vm->group.nr);

	thread_assert_unlocked("vm_destroy");
	/* 1. Nothing injects from outside: irqfd threads are gone. */
	irq_vm_stop(&vm->irq);
	/* 2. Nothing dispatches: vCPUs cannot run without a file. */
	vm_fini_io(vm);
	/* 3. No notifier callback runs, none will start. */
	mem_stop_notifier(&vm->mem);
	/* 4. vCPUs with what the other layers keep for each, then those layers. */
	for (u32 i = 0; i < nr; i++)
		vm_free_vcpu(
			container_of(aptr_load_relaxed(&vm->group.vcpu[i]), struct vm_vcpu, v));
	hvc_vm_fini(&vm->hvc);
	irq_vm_fini(&vm->irq);
	/* 5. Slots and stage-2 tables. */
	mem_fini(&vm->mem);
	mutex_fini(&vm->lock);
	DELETE(vm);
}

void vm_put(struct vm *vm)
{
	if (ref_put(&vm->users))
		vm_destroy(vm);
}

void vm_file_closed(struct vm *vm)
{
	irq_vm_stop(&vm->irq);
}

bool vm_admits(const struct vm *vm)
{
	return vm->mm_id == host_mm_id() && !a32_load_acquire(&vm->mem.dead);
}

struct vcpu *vm_vcpu_by_id(struct vm *vm, u32 id)
{
	/* Pairs with the release store when a vCPU is published. */
	u32 nr = a32_load_acquire(&vm->group.nr);

	for (u32 i = 0; i < nr; i++) {
		struct vcpu *v = aptr_load_relaxed(&vm->group.vcpu[i]);

		if (v->id == id)
			return v;
	}
	return NULL;
}

/*
 * The vCPU's descriptor is the memory file that holds its kvm_run page; page 1 of it is a placeholder for the ring of coalesced
 * accesses, which is the VM's; the dirty ring, if the VM has them, is further on.
 *
 * It is empty at first: a size and a mapping cost more than the rest of a vCPU, and many a vCPU never runs. What is done here may
 * be done by several threads at once: the size is a constant by then (rings cannot be enabled any more), one mapping stays.
 */
int vm_vcpu_map_run(struct vm_vcpu *vv, int fd)
{
	u64 page = host_page_size(), start, end;
	void *run;
	int r;

	if (aptr_load_acquire(&vv->run))
		return 0;
	vm_ring_extent(vv->vm, &start, &end);
	r = host_memfd_fix(fd, start < end ? end : 2 * page);
	if (r)
		return r;
	run = host_mmap(NULL, page, 3 /* PROT_READ | PROT_WRITE */, 1 /* MAP_SHARED */, fd, 0);
	if (host_map_failed(run))
		return host_map_error(run);
	/* The exchange releases, which pairs with the acquire above: who sees the mapping sees the size. */
	if (!aptr_cmpxchg(&vv->run, NULL, run))
		host_munmap(run, page);
	return 0;
}

/* With every page present: the ring is written under mmu_lock. */
static int vm_map_dirty_ring(struct vm_vcpu *vv)
{
	u64 start, end;
	void *ring;
	int r;

	vm_ring_extent(vv->vm, &start, &end);
	if (start == end)
		return 0;
	r = vm_vcpu_map_run(vv, vv->run_fd_at_birth);
	if (r)
		return r;
	ring = host_mmap(NULL, end - start, 3 /* PROT_READ | PROT_WRITE */, 1 /* MAP_SHARED */,
			 vv->run_fd_at_birth, start);
	if (host_map_failed(ring))
		return host_map_error(ring);
	vv->ring = ring;
	if (host_populate((uintptr_t)ring, end - start, true))
		return -ENOMEM;
	dirty_ring_init(&vv->v.mem.ring, &vv->vm->mem, ring, end - start);
	return 0;
}

/* Steps after the allocation: vm->lock, then v->mutex. On success the descriptor is visible and the vCPU published. */
static int vm_publish_vcpu(struct vm *vm, struct vm_vcpu *vv, vm_install_vcpu *install, void *ctx)
	REQUIRES(&vm->lock)
{
	struct vcpu *v = &vv->v;
	u32 index = a32_load_relaxed(&vm->group.nr);
	int r;

	if (vm_vcpu_by_id(vm, v->id))
		return -EEXIST;
	/* Less may be allowed than when vm_create_vcpu looked: a GICv2 has come. */
	if (index >= irq_max_vcpus(&vm->irq))
		return -EINVAL;
	/* Only now is the place known; vm->lock keeps it ours. */
	v->index = index;
	r = irq_vcpu_init(&vm->irq, v);
	if (r)
		return r;
	r = hvc_vcpu_init(&vm->hvc, v);
	if (r) {
		irq_vcpu_withdraw(v);
		return r;
	}
	mutex_lock(&v->mutex);
	aptr_store_relaxed(&vm->group.vcpu[index], v);
	vm_get(vm);
	r = install(ctx, vv);
	if (r < 0) {
		BUG_ON(ref_put(&vm->users));
		aptr_store_relaxed(&vm->group.vcpu[index], NULL);
		mutex_unlock(&v->mutex);
		irq_vcpu_withdraw(v);
		return r;
	}
	/* From here on nothing fails: shootdowns reach it before it can run. */
	tlb_client_attach(&vm->mem.tlb, &v->tlb);
	/* Pairs with the acquire load of readers: the entry is there before the count. */
	a32_store_release(&vm->group.nr, index + 1);
	mutex_unlock(&v->mutex);
	return r;
}

int vm_create_vcpu(struct vm *vm, u64 id, vm_install_vcpu *install, void *ctx)
{
	struct vm_vcpu *vv;
	int r;

	if (id >= VCPU_MAX)
		return -EINVAL;
	mutex_lock(&vm->lock);
	r = vm->created_vcpus >= irq_max_vcpus(&vm->irq) ? -EINVAL : irq_vcpu_precreate(&vm->irq);
	if (!r)
		vm->created_vcpus++;
	mutex_unlock(&vm->lock);
	if (r)
		return r;

	vv = NEW(struct vm_vcpu);
	if (!vv) {
		r = -ENOMEM;
		goto uncount;
	}
	vv->vm = vm;
	r = vv->run_fd_at_birth = host_memfd_create_unfixed("anykvm-vcpu");
	if (r < 0)
		goto free;
	r = vcpu_init(&vv->v, &vm->group, id, 0, vm_engine);
	if (r)
		goto close;
	r = vm_map_dirty_ring(vv);
	if (!r) {
		mutex_lock(&vm->lock);
		r = vm_publish_vcpu(vm, vv, install, ctx);
		mutex_unlock(&vm->lock);
		if (r >= 0)
			return r;
	}

	host_close(vv->run_fd_at_birth);
	vm_free_vcpu(vv);
	goto uncount;
close:
	host_close(vv->run_fd_at_birth);
free:
	DELETE(vv);
uncount:
	mutex_lock(&vm->lock);
	vm->created_vcpus--;
	mutex_unlock(&vm->lock);
	return r;
}

int vm_run_vcpu(struct vm *vm, struct vcpu *v)
{
	int r;

	if (!v->initialized)
		return -ENOEXEC;
	if (!v->has_run) {
		r = irq_vcpu_first_run(v);
		if (r)
			return r;
	}
	hvc_before_run(v);
	return vcpu_run(v);
}
