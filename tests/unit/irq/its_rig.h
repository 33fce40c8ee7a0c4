/* SPDX-License-Identifier: MIT */
/* A rig with an ITS whose guest has set up all tables: what a driver does at boot, and the commands it sends later. */
#ifndef ANYKVM_TESTS_ITS_RIG_H
#define ANYKVM_TESTS_ITS_RIG_H

#include "irq/its.h"
#include "rig.h"

#define RIG_ITS	    0x08080000ull
#define RIG_PROP    (RIG_RAM + 0x00000)
#define RIG_PEND(n) (RIG_RAM + 0x10000 + (n)*0x10000)
#define RIG_DEVTAB  (RIG_RAM + 0x60000)
#define RIG_COLTAB  (RIG_RAM + 0x70000)
#define RIG_QUEUE   (RIG_RAM + 0x80000)
#define RIG_L2	    (RIG_RAM + 0x90000)
#define RIG_ITT(n)  (RIG_RAM + 0xa0000 + (n)*0x1000)

#define GITS_CTLR    0x0
#define GITS_IIDR    0x4
#define GITS_TYPER   0x8
#define GITS_CBASER  0x80
#define GITS_CWRITER 0x88
#define GITS_CREADR  0x90
#define GITS_BASER0  0x100
#define GITS_BASER1  0x108

#define TABLE_VALID BIT(63)

/* With an ITS at RIG_ITS that is off, and LPIs off. */
struct rig *rig_create_its(u32 nr_cpus, struct its **its);
/* Tables where they are above (devices in one flat table), priority 0xa0 and enabled for all LPIs; ITS, LPIs, interrupts on. */
void rig_its_boot(struct rig *r);

void rig_its_command(struct rig *r, u64 w0, u64 w1, u64 w2, u64 w3);
void rig_mapd(struct rig *r, u32 device, u64 itt, u32 event_bits);
void rig_unmapd(struct rig *r, u32 device);
void rig_mapc(struct rig *r, u32 collection, u32 cpu);
void rig_unmapc(struct rig *r, u32 collection);
void rig_mapti(struct rig *r, u32 device, u32 event, u32 lpi, u32 collection);
void rig_mapi(struct rig *r, u32 device, u32 event, u32 collection);
void rig_movi(struct rig *r, u32 device, u32 event, u32 collection);
void rig_movall(struct rig *r, u32 from, u32 to);
/* DISCARD 0x0f, CLEAR 0x04, INV 0x0c, INT 0x03. */
void rig_event_command(struct rig *r, u32 command, u32 device, u32 event);
void rig_invall(struct rig *r, u32 collection);
/* KVM_SIGNAL_MSI. */
int rig_msi(struct rig *r, u32 device, u32 event);
/* What a CPU acknowledges next, ended at once. */
u64 rig_take(struct rig *r, u32 cpu);

u64 rig_ram64(struct rig *r, u64 gpa);
void rig_set_ram64(struct rig *r, u64 gpa, u64 value);
static inline u8 *rig_ram(struct rig *r, u64 gpa)
{
	return r->guest + (gpa - RIG_RAM);
}
/* Attributes of the ITS device. */
int rig_its_set(struct rig *r, struct its *its, u32 group, u64 attr, u64 value);
int rig_its_get(struct rig *r, struct its *its, u32 group, u64 attr, u64 *value);

#endif
