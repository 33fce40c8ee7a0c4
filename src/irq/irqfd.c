/* SPDX-License-Identifier: MIT */
/*
 * irqfd: an eventfd that raises a GSI. One helper thread a VM polls all of them; it starts with the
 * first.
 *
 * A plain irqfd triggers its interrupt (an edge, or an MSI). A resampling one raises the line; before the guest's deactivation of the
 * interrupt takes effect the line falls and the second eventfd tells the VMM, which raises it again if its device still wants service.
 *
 * struct irqfd. born: KVM_IRQFD. seen by: the helper thread, under irq_lock, by key; deactivations,
 * under resample_lock. kept by: vi->irqfds. hidden and freed: under both locks, by deassign or
 * irqfd_stop. Since the thread injects under irq_lock, no interrupt comes from an irqfd after its
 * deassign returned.
 *
 * An eventfd feeds one irqfd in the whole process (-EBUSY), as in KVM: all of them are on the list
 * in the process state. The library holds a copy of the descriptor, so it does not notice when the
 * VMM closes its last one: such an irqfd stays until deassign or the end of the VM. (KVM drops it;
 * nobody can signal it any more in either case.)
 */
#include <errno.h>

#include <anykvm/kvm.h>

#include "base/process.h"
#include "host/alloc.h"
#include "host/eventfd.h"
#include "host/poller.h"
#include "irq/irq.h"

struct irqfd {
	struct list link;	   /* vi->irqfds */
	struct list resample_link; /* vi->resamplers, or empty */
	struct irqfd *next_all;	   /* irq_process.all */
	struct vm_irq *vi;
	struct host_eventfd event, resample;
	u64 key;
	u32 gsi;
	s32 pin; /* of a resampling one: SPI that gsi is routed to, -1 none; under resample_lock */
};

struct irqfd_thread {
	struct host_poller poller;
	struct thread *thread;
	struct a32 stop;
	u64 next_key;
};

struct irq_process {
	struct a32 lock; /* held for a few instructions */
	struct irqfd *all;
};
_Static_assert(sizeof(struct irq_process) <= PROCESS_PART_SIZE, "PROCESS_PART_SIZE");

static void process_lock(struct irq_process *p)
{
	while (!a32_cmpxchg(&p->lock, 0, 1))
		cpu_relax();
}

static void process_unlock(struct irq_process *p)
{
	a32_store_release(&p->lock, 0);
}

/* -EBUSY if the eventfd feeds one already. */
static int process_add(struct irqfd *f)
{
	struct irq_process *p = process_part(PROCESS_IRQ);
	int err = 0;

	process_lock(p);
	for (struct irqfd *o = p->all; o && !err; o = o->next_all)
		if (host_eventfd_same(&o->event, &f->event))
			err = -EBUSY;
	if (!err) {
		f->next_all = p->all;
		p->all = f;
	}
	process_unlock(p);
	return err;
}

static void process_remove(struct irqfd *f)
{
	struct irq_process *p = process_part(PROCESS_IRQ);

	process_lock(p);
	for (struct irqfd **at = &p->all; *at; at = &(*at)->next_all) {
		if (*at == f) {
			*at = f->next_all;
			break;
		}
	}
	process_unlock(p);
}

static void irqfd_fire(struct vm_irq *vi, u64 key)
{
	struct irqfd *f;

	mutex_lock(&vi->irq_lock);
	list_for_each(f, &vi->irqfds, link)
	{
		if (f->key != key)
			continue;
		/*
		 * Nothing lowers the line of an interrupt that the guest made level-triggered, but KVM_IRQ_LINE or, if the irqfd is a
		 * resampling one, its end: so does KVM, whose irqfds raise the line from where the eventfd is signalled.
		 */
		if (host_eventfd_drain(f->event.fd))
			irq_set_gsi(vi, f->gsi, true);
		break;
	}
	mutex_unlock(&vi->irq_lock);
}

static void thread_main(void *arg)
{
	struct vm_irq *vi = arg;
	struct irqfd_thread *t = vi->irqfd_thread;
	u64 keys[16];

	while (!a32_load_acquire(&t->stop)) {
		u32 nr = host_poller_wait(&t->poller, keys, ARRAY_SIZE(keys));

		for (u32 i = 0; i < nr; i++)
			irqfd_fire(vi, keys[i]);
	}
}

/* irq_lock held. */
static int thread_start(struct vm_irq *vi)
{
	struct irqfd_thread *t;
	int err;

	if (vi->irqfd_thread)
		return 0;
	t = NEW(struct irqfd_thread);
	if (!t)
		return -ENOMEM;
	t->next_key = 1;
	err = host_poller_init(&t->poller);
	if (err)
		goto out_free;
	vi->irqfd_thread = t;
	err = thread_create(&t->thread, "anykvm-irqfd", thread_main, vi);
	if (!err)
		return 0;
	vi->irqfd_thread = NULL;
	host_poller_fini(&t->poller);
out_free:
	DELETE(t);
	return err;
}

static void irqfd_free(struct irqfd *f, bool resample)
{
	host_eventfd_put(&f->event);
	if (resample)
		host_eventfd_put(&f->resample);
	DELETE(f);
}

/* irq_lock held. Afterwards nobody knows f. */
static void irqfd_remove(struct vm_irq *vi, struct irqfd *f)
{
	bool resample = !list_empty(&f->resample_link), last = true;
	struct irqfd *o;

	host_poller_remove(&vi->irqfd_thread->poller, f->event.fd);
	list_del(&f->link);
	process_remove(f);
	if (resample) {
		mutex_lock(&vi->resample_lock);
		list_del(&f->resample_link);
		a32_fetch_sub(&vi->nr_resamplers, 1);
		list_for_each(o, &vi->resamplers, resample_link) if (o->gsi == f->gsi) last = false;
		mutex_unlock(&vi->resample_lock);
		/* The line that they shared falls with the last of them. */
		if (last)
			irq_set_gsi(vi, f->gsi, false);
	}
	irqfd_free(f, resample);
}

/* irq_lock held; f is complete. */
static int irqfd_add(struct vm_irq *vi, struct irqfd *f, bool resample)
{
	int err = thread_start(vi);

	if (err)
		return err;
	err = process_add(f);
	if (err)
		return err;
	f->key = vi->irqfd_thread->next_key++;
	list_add_tail(&vi->irqfds, &f->link);
	if (resample) {
		s32 pin = route_pin_of_gsi(vi, f->gsi);

		mutex_lock(&vi->resample_lock);
		f->pin = pin;
		list_add_tail(&vi->resamplers, &f->resample_link);
		a32_fetch_add(&vi->nr_resamplers, 1);
		mutex_unlock(&vi->resample_lock);
	}
	/* Reports at once if something was signalled before. */
	err = host_poller_add(&vi->irqfd_thread->poller, f->event.fd, f->key);
	if (!err)
		return 0;
	list_del(&f->link);
	process_remove(f);
	if (resample) {
		mutex_lock(&vi->resample_lock);
		list_del(&f->resample_link);
		a32_fetch_sub(&vi->nr_resamplers, 1);
		mutex_unlock(&vi->resample_lock);
	}
	return err;
}

static int irqfd_assign(struct vm_irq *vi, const struct kvm_irqfd *args)
{
	bool resample = args->flags & KVM_IRQFD_FLAG_RESAMPLE;
	struct irqfd *f;
	int err;

	if (!irq_gic_initialized(vi))
		return -EAGAIN;
	f = NEW(struct irqfd);
	if (!f)
		return -ENOMEM;
	f->vi = vi;
	f->gsi = args->gsi;
	list_init(&f->link);
	list_init(&f->resample_link);
	err = host_eventfd_get((int)args->fd, &f->event);
	if (err)
		goto out_free;
	if (resample) {
		err = host_eventfd_get((int)args->resamplefd, &f->resample);
		if (err)
			goto out_event;
	}
	mutex_lock(&vi->irq_lock);
	err = irqfd_add(vi, f, resample);
	mutex_unlock(&vi->irq_lock);
	if (err)
		irqfd_free(f, resample);
	return err;
out_event:
	host_eventfd_put(&f->event);
out_free:
	DELETE(f);
	return err;
}

static int irqfd_deassign(struct vm_irq *vi, const struct kvm_irqfd *args)
{
	struct host_eventfd event;
	struct irqfd *f, *tmp;
	int err = host_eventfd_get((int)args->fd, &event);

	if (err)
		return err;
	mutex_lock(&vi->irq_lock);
	list_for_each_safe(f, tmp, &vi->irqfds,
			   link) if (f->gsi == args->gsi && host_eventfd_same(&f->event, &event))
		irqfd_remove(vi, f);
	mutex_unlock(&vi->irq_lock);
	host_eventfd_put(&event);
	return 0;
}

int irq_irqfd(struct vm_irq *vi, const struct kvm_irqfd *args)
{
	if (args->flags & ~(u32)(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	return args->flags & KVM_IRQFD_FLAG_DEASSIGN ? irqfd_deassign(vi, args)
						     : irqfd_assign(vi, args);
}

/* The routing table changed. irq_lock held. */
void irqfd_routing_changed(struct vm_irq *vi)
{
	struct irqfd *f;

	list_for_each(f, &vi->irqfds, link)
	{
		s32 pin = route_pin_of_gsi(vi, f->gsi);

		mutex_lock(&vi->resample_lock);
		f->pin = pin;
		mutex_unlock(&vi->resample_lock);
	}
}

void irqfd_notify_deactivated(struct vm_irq *vi, u32 spi)
{
	struct irqfd *f;
	bool found = false;

	mutex_lock(&vi->resample_lock);
	list_for_each(f, &vi->resamplers, resample_link) found |= f->pin == (s32)spi;
	mutex_unlock(&vi->resample_lock);
	if (!found)
		return;
	/* Once for all that share the line, and before they are told: a new event may raise it at
	 * once. */
	gic_inject(vi, NULL, spi + GIC_NR_PRIVATE, false, NULL);
	mutex_lock(&vi->resample_lock);
	list_for_each(f, &vi->resamplers, resample_link) if (f->pin == (s32)spi)
		host_eventfd_notify(&f->resample);
	mutex_unlock(&vi->resample_lock);
}

void irqfd_stop(struct vm_irq *vi)
{
	struct irqfd_thread *t = vi->irqfd_thread;
	struct irqfd *f, *tmp;

	if (!t)
		return;
	a32_store_release(&t->stop, 1);
	host_poller_wake(&t->poller);
	thread_join(t->thread);
	mutex_lock(&vi->irq_lock);
	list_for_each_safe(f, tmp, &vi->irqfds, link) irqfd_remove(vi, f);
	vi->irqfd_thread = NULL;
	mutex_unlock(&vi->irq_lock);
	host_poller_fini(&t->poller);
	DELETE(t);
}
