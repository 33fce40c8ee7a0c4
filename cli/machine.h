/* SPDX-License-Identifier: MIT */
/*
 * One virtual machine from creation to its end: KVM's descriptors, memory, devices, vCPU threads. A
 * reset of the guest destroys it and makes a new one; disks and terminal outlive it.
 */
#ifndef CLI_MACHINE_H
#define CLI_MACHINE_H

#include <pthread.h>

#include <anykvm/kvm.h>

#include "accel.h"
#include "bus.h"
#include "dirty.h"
#include "memory.h"
#include "network.h"
#include "nvme.h"
#include "options.h"
#include "pci.h"
#include "pl011.h"
#include "pl031.h"
#include "terminal.h"

/* Guest physical addresses; all below 4 GiB but for what of the RAM does not fit. */
#define MACHINE_UART	    0x01000000ull
#define MACHINE_UART_SIZE   0x1000ull
#define MACHINE_RTC	    0x01010000ull
#define MACHINE_RTC_SIZE    0x1000ull
#define MACHINE_GICD	    0x08000000ull
#define MACHINE_GICR	    0x08010000ull /* one after the other, up to the PCI configuration space */
#define MACHINE_MAX_CPUS    512
#define MACHINE_ITS	    0x0e000000ull
#define MACHINE_ECAM	    0x10000000ull
#define MACHINE_WINDOW	    0x20000000ull
#define MACHINE_WINDOW_SIZE 0x40000000ull
#define MACHINE_RAM	    0x80000000ull

/* Shared peripheral interrupts, as the device tree counts them. */
#define MACHINE_UART_SPI 1
#define MACHINE_PMU_PPI	 7  /* overflow of the performance counters */
#define MACHINE_PCI_SPI	 32 /* plus the slot */
#define MACHINE_NR_IRQS	 128

#define MACHINE_NETWORK_SLOT 31 /* of the PCI bus; disks come first */

enum machine_end {
	END_NONE,
	END_POWER_OFF,
	END_RESET,
	END_FAILED, /* a message has been printed */
	END_TIMEOUT,
	END_USER,
	END_MIGRATED, /* the guest runs, or can run, elsewhere */
};

#define NR_EXIT_REASONS 44

struct machine_vcpu {
	struct machine *machine;
	unsigned index;
	int fd;
	uint64_t mpidr;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	uint64_t exits[NR_EXIT_REASONS], interrupted;
	double cpu_seconds; /* of the thread, at its end */
};

struct machine {
	const struct run_options *options;
	const struct accel *accel;
	struct terminal *terminal;
	const struct nvme_disk *disks;
	int kvm_fd, vm_fd, gic_fd, its_fd, wake_fd;
	size_t run_size;
	struct guest_memory ram;
	struct bus bus;
	struct pl011 uart;
	struct pl031 rtc;
	struct pci_host pci;
	struct nvme *nvme;
	struct network *network; /* null: there is none */
	struct machine_vcpu *vcpus;
	unsigned nr_vcpus;
	bool pmu;	     /* the vCPUs have performance counters */
	uint64_t entry, dtb; /* where vCPU 0 begins, and its x0 */
	bool restored; /* vCPU registers came with a migrating guest: entry and dtb mean nothing */
	bool stop;     /* vCPU threads end; written before they are kicked */
	enum machine_end end; /* the first reason to end, under end_lock */
	pthread_mutex_t end_lock;
	/* pause.c. A vCPU parks while pause is set; under pause_lock: */
	pthread_mutex_t pause_lock;
	pthread_cond_t pause_cond;
	bool pause;
	unsigned nr_parked, nr_ended;
	/* The run loop holds it while it moves the terminal's input to the guest, which it does not while input_held. */
	pthread_mutex_t input_lock;
	bool input_held;
	struct dirty_log dirty;
	struct migration *migration; /* of the guest to somewhere else; the run loop's */
	struct incoming *incoming;   /* of a guest to here; the run loop's */
};

/* All return 0, or -1 after a message. */
int machine_create(struct machine *machine, const struct run_options *options,
		   const struct accel *accel, struct terminal *terminal,
		   const struct nvme_disk *disks);
int machine_start(struct machine *machine);
/* Any thread: the machine is to end. The first caller's reason counts, but for END_MIGRATED. */
void machine_post_end(struct machine *machine, enum machine_end end);
/* Any thread: the run loop looks around. */
void machine_wake(void *machine);
/* Ends the vCPU threads. */
void machine_stop(struct machine *machine);
void machine_destroy(struct machine *machine);

/* vcpu.c */
int vcpu_create(struct machine *machine, unsigned index);
/* Once there is an interrupt controller, if the machine has counters. */
int vcpu_init_pmu(struct machine_vcpu *vcpu);
int vcpu_start(struct machine_vcpu *vcpu);
void machine_vcpu_kick(struct machine_vcpu *vcpu);
/* Waits for the thread's end that long; false if it has not come. */
bool vcpu_join(struct machine_vcpu *vcpu, double seconds);
void vcpu_install_kick_handler(void);
void vcpu_destroy(struct machine_vcpu *vcpu);
bool vcpu_get_register(const struct machine_vcpu *vcpu, uint64_t id, uint64_t *value);
bool vcpu_set_register(const struct machine_vcpu *vcpu, uint64_t id, uint64_t value);
/* pause.c. machine_pause(): 0 with all vCPUs parked and the terminal's input held; -ESHUTDOWN if the machine ends; -ETIMEDOUT if
 * one does not come, because nobody reads the console. */
int machine_pause(struct machine *machine);
void machine_resume(struct machine *machine);
void machine_hold_input(struct machine *machine);
void machine_release_input(struct machine *machine);
/* By the vCPU's thread: waits while a pause is wanted, and lets KVM_RUN run again. */
void vcpu_park(struct machine_vcpu *vcpu);
void vcpu_note_end(struct machine_vcpu *vcpu);
/* report.c: registers, for a human. */
void report_vcpu(const struct machine_vcpu *vcpu);
void report_where(const struct machine_vcpu *vcpu);
/* stats.c */
void stats_print(const struct machine *machine, double seconds);

#endif
