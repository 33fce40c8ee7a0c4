/* SPDX-License-Identifier: MIT */
/* The NVMe controller, driven as a guest drives it: configuration space, registers, queues in memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "devices_rig.h"
#include "nvme.h"
#include "../test.h"

#define ECAM   0x10000000ull
#define WINDOW 0x20000000ull
#define BAR    0x20100000ull
#define CONFIG (ECAM + (1 << 15)) /* slot 1 */
#define SPI    33

/* The guest's memory: queues, then data. */
#define ASQ   (RIG_RAM + 0x0000)
#define ACQ   (RIG_RAM + 0x1000)
#define IOSQ  (RIG_RAM + 0x2000)
#define IOCQ  (RIG_RAM + 0x3000)
#define PAGES (RIG_RAM + 0x100000)
#define LIST  (RIG_RAM + 0x4000)

#define SECTORS 4096u

static struct bus bus;
static struct guest_memory ram;
static struct pci_host pci;
static struct nvme disk_ctrl;
static struct nvme_disk disk = {.fd = -1};

struct queue_pair {
	unsigned id, entries, tail, head, phase;
	uint64_t sq, cq;
};

static struct queue_pair admin, io;

static void make_disk(bool read_only)
{
	char path[] = "/tmp/anykvm-nvme-XXXXXX";
	uint8_t sector[512];

	nvme_disk_close(&disk);
	disk.fd = mkstemp(path);
	unlink(path);
	for (unsigned i = 0; i < SECTORS; i++) {
		memset(sector, i * 7 + 1, sizeof(sector));
		if (pwrite(disk.fd, sector, sizeof(sector), i * 512ll) != sizeof(sector))
			abort();
	}
	disk.size = SECTORS * 512ull;
	disk.read_only = read_only;
}

static void rig(bool read_only)
{
	struct irq_line line = {.accel = &rig_accel, .spi = SPI};

	memset(&bus, 0, sizeof(bus));
	memset(rig_level, 0, sizeof(rig_level));
	rig_messages = 0;
	memory_destroy(&ram);
	if (memory_create(&ram, &rig_accel, -1, MEMORY_ANON, RIG_RAM, 16 * MIB))
		abort();
	make_disk(read_only);
	pci_init(&pci, &bus, ECAM, WINDOW, 0x10000000);
	nvme_init(&disk_ctrl, &pci, 1, &disk, &ram, line);
	rig_store(&bus, CONFIG + 0x10, 4, BAR);
	rig_store(&bus, CONFIG + 0x14, 4, 0);
	rig_store(&bus, CONFIG + 4, 2, 6);
}

static uint32_t get(unsigned offset)
{
	return rig_load(&bus, BAR + offset, 4);
}

static void put(unsigned offset, uint32_t value)
{
	rig_store(&bus, BAR + offset, 4, value);
}

static void enable(void)
{
	admin = (struct queue_pair){.entries = 16, .phase = 1, .sq = ASQ, .cq = ACQ};
	put(0x24, 15 << 16 | 15);
	rig_store(&bus, BAR + 0x28, 8, ASQ);
	rig_store(&bus, BAR + 0x30, 8, ACQ);
	put(0x14, 4 << 20 | 6 << 16 | 1);
}

static void submit(struct queue_pair *q, struct nvme_command cmd)
{
	memory_write(&ram, q->sq + q->tail * 64, &cmd, 64);
	q->tail = (q->tail + 1) % q->entries;
	put(0x1000 + q->id * 8, q->tail);
}

/* The status of the next completion, or -1. */
static int complete(struct queue_pair *q, uint16_t cid, uint32_t *result)
{
	struct nvme_completion entry;

	memory_read(&ram, q->cq + q->head * 16, &entry, 16);
	if ((entry.status & 1) != q->phase)
		return -1;
	EXPECT_EQ(entry.cid, cid);
	EXPECT_EQ(entry.sq_id, q->id);
	if (result)
		*result = entry.result;
	q->head++;
	if (q->head == q->entries) {
		q->head = 0;
		q->phase = !q->phase;
	}
	put(0x1004 + q->id * 8, q->head);
	return entry.status >> 1;
}

static int run(struct queue_pair *q, struct nvme_command cmd)
{
	static uint16_t cid;

	cmd.cid = ++cid;
	submit(q, cmd);
	return complete(q, cid, NULL);
}

static void make_io(unsigned entries)
{
	io = (struct queue_pair){.id = 1, .entries = entries, .phase = 1, .sq = IOSQ, .cq = IOCQ};
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 5,
						    .prp1 = IOCQ,
						    .cdw10 = (entries - 1) << 16 | 1,
						    .cdw11 = 3}),
		  0);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 1,
						    .prp1 = IOSQ,
						    .cdw10 = (entries - 1) << 16 | 1,
						    .cdw11 = 1 << 16 | 1}),
		  0);
}

static struct nvme_command transfer(unsigned opcode, uint64_t lba, unsigned count, uint64_t prp1,
				    uint64_t prp2)
{
	return (struct nvme_command){.opcode = opcode,
				     .nsid = 1,
				     .prp1 = prp1,
				     .prp2 = prp2,
				     .cdw10 = lba,
				     .cdw11 = lba >> 32,
				     .cdw12 = count - 1};
}

static bool holds_sectors(uint64_t gpa, unsigned lba, unsigned count)
{
	const uint8_t *data = memory_at(&ram, gpa, count * 512);

	for (unsigned i = 0; i < count * 512; i++)
		if (data[i] != (uint8_t)((lba + i / 512) * 7 + 1))
			return false;
	return true;
}

TEST(configuration_space_names_an_nvme_controller_and_sizes_its_bar)
{
	rig(false);
	EXPECT_EQ(rig_load(&bus, CONFIG + 8, 4) >> 8, 0x010802);
	EXPECT_EQ(rig_load(&bus, CONFIG + 0x3d, 1), 1);
	rig_store(&bus, CONFIG + 0x10, 4, 0xffffffff);
	EXPECT_EQ(rig_load(&bus, CONFIG + 0x10, 4), 0xffffc004);
	EXPECT_EQ(rig_load(&bus, ECAM, 4), 0xffffffff);		      /* slot 0 is empty */
	EXPECT_EQ(rig_load(&bus, CONFIG + (1 << 12), 4), 0xffffffff); /* function 1 */
	EXPECT_EQ(rig_load(&bus, CONFIG + 0xffc, 4), 0);
}

TEST(identify_tells_size_names_and_limits)
{
	uint8_t *page;
	uint64_t size;

	rig(false);
	enable();
	EXPECT_EQ(get(0x1c), 1);
	page = memory_at(&ram, PAGES, 4096);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 1}), 0);
	EXPECT_EQ(page[77], NVME_MDTS);
	EXPECT_EQ(page[516], 1);
	EXPECT(!memcmp(page + 4, "anykvm1             ", 20));
	EXPECT_EQ(run(&admin,
		      (struct nvme_command){.opcode = 6, .nsid = 1, .prp1 = PAGES, .cdw10 = 0}),
		  0);
	memcpy(&size, page, 8);
	EXPECT_EQ(size, SECTORS);
	EXPECT_EQ(page[130], 9);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 6, .nsid = 2, .prp1 = PAGES}),
		  NVME_INVALID_NAMESPACE);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 0x77}),
		  NVME_INVALID_FIELD);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 0x55}), NVME_INVALID_OPCODE);
}

TEST(reads_follow_every_shape_of_prps)
{
	uint64_t list[600];

	rig(false);
	enable();
	make_io(8);
	EXPECT_EQ(run(&io, transfer(2, 5, 1, PAGES, 0)), 0);
	EXPECT(holds_sectors(PAGES, 5, 1));
	/* an offset in the first page, the rest in a second one */
	EXPECT_EQ(run(&io, transfer(2, 10, 8, PAGES + 0x8000 + 512, PAGES + 0x9000 + 0)), 0);
	EXPECT(holds_sectors(PAGES + 0x8200, 10, 7));
	EXPECT(holds_sectors(PAGES + 0x9000, 17, 1));
	/* a list, backwards through memory */
	for (unsigned i = 0; i < 31; i++)
		list[i] = PAGES + 0x100000 - i * 4096;
	memory_write(&ram, LIST, list, sizeof(list));
	EXPECT_EQ(run(&io, transfer(2, 100, 256, PAGES, LIST)), 0);
	EXPECT(holds_sectors(PAGES, 100, 8));
	for (unsigned i = 0; i < 31; i++)
		EXPECT(holds_sectors(list[i], 108 + i * 8, 8));
	/* a list that begins near the end of its page: its last entry there points on */
	list[0] = PAGES + 0x10000;
	list[1] = LIST + 0x2000;
	memory_write(&ram, LIST + 0x1000 - 16, list, 16);
	list[0] = PAGES + 0x20000;
	list[1] = PAGES + 0x30000;
	memory_write(&ram, LIST + 0x2000, list, 16);
	EXPECT_EQ(run(&io, transfer(2, 7, 32, PAGES, LIST + 0x1000 - 16)), 0);
	EXPECT(holds_sectors(PAGES, 7, 8));
	EXPECT(holds_sectors(PAGES + 0x10000, 15, 8));
	EXPECT(holds_sectors(PAGES + 0x20000, 23, 8));
	EXPECT(holds_sectors(PAGES + 0x30000, 31, 8));
	/* the same end of a page, but the entry there is the last one needed: data */
	list[0] = PAGES + 0x40000;
	list[1] = PAGES + 0x50000;
	memory_write(&ram, LIST + 0x1000 - 16, list, 16);
	EXPECT_EQ(run(&io, transfer(2, 40, 24, PAGES, LIST + 0x1000 - 16)), 0);
	EXPECT(holds_sectors(PAGES + 0x50000, 56, 8));
}

/* Forgets what has been marked so far. */
static void clear_marks(void)
{
	memset(ram.dirty, 0, memory_bitmap_words(&ram) * 8);
}

static bool is_marked(uint64_t gpa)
{
	uint64_t page = (gpa - RIG_RAM) >> ram.page_shift;

	return ram.dirty[page / 64] >> page % 64 & 1;
}

/* KVM does not see what we write; a migration that missed it would lose it. */
TEST(whatever_the_controller_writes_is_marked_dirty)
{
	unsigned nr = 0;

	rig(false);
	enable();
	make_io(8);
	clear_marks();
	EXPECT_EQ(run(&io, transfer(2, 10, 16, PAGES + 0x8000 + 512, LIST)), NVME_TRANSFER_ERROR);
	EXPECT(!is_marked(PAGES + 0x8000));
	clear_marks();
	EXPECT_EQ(run(&io, transfer(2, 10, 8, PAGES + 0x8000 + 512, PAGES + 0x9000)), 0);
	EXPECT(is_marked(PAGES + 0x8000) && is_marked(PAGES + 0x9000) && is_marked(IOCQ));
	EXPECT(!is_marked(PAGES + 0x7000) && !is_marked(PAGES + 0xa000));
	clear_marks();
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 1}), 0);
	EXPECT(is_marked(PAGES) && is_marked(ACQ));
	clear_marks();
	EXPECT_EQ(run(&io, transfer(1, 64, 8, PAGES, 0)), 0); /* a write to the disk reads memory */
	EXPECT(!is_marked(PAGES) && is_marked(IOCQ));
	for (uint64_t i = 0; i < memory_bitmap_words(&ram); i++)
		nr += __builtin_popcountll(ram.dirty[i]);
	EXPECT_EQ(nr, 2); /* the completion, and the command that run() stored */
}

static uint8_t saved[65536];

static struct state save(void)
{
	struct state state = {.data = saved, .size = sizeof(saved)};

	nvme_state(&disk_ctrl, &state);
	EXPECT(state_is_good(&state));
	return state;
}

/* Into a controller as new; the memory stays. */
static bool load(size_t length)
{
	struct state state = {.loading = true, .data = saved, .size = length};
	struct irq_line line = {.accel = &rig_accel, .spi = SPI};
	static struct bus other_bus;

	other_bus = (struct bus){.nr_regions = 0};
	pci_init(&pci, &other_bus, ECAM, WINDOW, 0x10000000);
	nvme_init(&disk_ctrl, &pci, 1, &disk, &ram, line);
	bus = other_bus;
	nvme_state(&disk_ctrl, &state);
	return state_is_good(&state) && state.used == length;
}

TEST(a_controller_goes_on_where_its_state_is_loaded)
{
	size_t length;

	rig(false);
	enable();
	make_io(8);
	for (unsigned i = 0; i < 13; i++) /* around the ends of the queues */
		EXPECT_EQ(run(&io, transfer(2, i, 1, PAGES, 0)), 0);
	length = save().used;
	EXPECT(load(length));
	EXPECT_EQ(run(&io, transfer(2, 5, 1, PAGES + 0x1000, 0)), 0);
	EXPECT(holds_sectors(PAGES + 0x1000, 5, 1));
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 4, .cdw10 = 1}), NVME_DELETE_INVALID);
}

TEST(a_state_that_makes_no_sense_is_refused_and_does_no_harm)
{
	uint64_t seed = 1;
	uint8_t good[sizeof(saved)];
	size_t length;

	rig(false);
	enable();
	make_io(8);
	length = save().used;
	memcpy(good, saved, length);
	for (size_t cut = 0; cut < length; cut += 97)
		EXPECT(!load(cut));
	for (unsigned r = 0; r < 20000; r++) {
		memcpy(saved, good, length);
		rig_damage(saved, length, r, &seed);
		/* Good or not: whoever rings doorbells afterwards finds no index outside of a queue. */
		load(length);
		for (unsigned i = 0; i < 2 * NVME_QUEUES; i++)
			rig_store(&bus, BAR + 0x1000 + i * 4, 4, 1);
	}
	memcpy(saved, good, length);
	EXPECT(load(length));
}

TEST(writes_and_write_zeroes_reach_the_file)
{
	uint8_t data[4096], file[4096 * 2];

	rig(false);
	enable();
	make_io(8);
	memset(data, 0xab, sizeof(data));
	memory_write(&ram, PAGES, data, sizeof(data));
	EXPECT_EQ(run(&io, transfer(1, 64, 8, PAGES, 0)), 0);
	EXPECT_EQ(run(&io, transfer(8, 72, 8, 0, 0)), 0);
	EXPECT_EQ(run(&io, (struct nvme_command){.opcode = 0, .nsid = 1}), 0);
	EXPECT_EQ(pread(disk.fd, file, sizeof(file), 64 * 512), sizeof(file));
	for (unsigned i = 0; i < 4096; i++)
		ASSERT(file[i] == 0xab && file[4096 + i] == 0);
	EXPECT_EQ(pread(disk.fd, file, 512, 63 * 512), 512);
	EXPECT_EQ(file[511], (uint8_t)(63 * 7 + 1));
	EXPECT_EQ(pread(disk.fd, file, 512, 80 * 512), 512);
	EXPECT_EQ(file[0], (uint8_t)(80 * 7 + 1));
}

TEST(what_a_disk_cannot_do_gets_its_status)
{
	unsigned messages = rig_messages;

	rig(false);
	enable();
	make_io(8);
	EXPECT_EQ(run(&io, transfer(2, SECTORS - 1, 2, PAGES, 0)), NVME_LBA_RANGE);
	EXPECT_EQ(run(&io, transfer(2, ~0ull, 1, PAGES, 0)), NVME_LBA_RANGE);
	EXPECT_EQ(run(&io, transfer(2, SECTORS - 1, 1, PAGES, 0)), 0);
	EXPECT_EQ(run(&io, transfer(2, 0, 1, RIG_RAM + 16 * MIB, 0)), NVME_TRANSFER_ERROR);
	EXPECT_EQ(run(&io, transfer(2, 0, 1, RIG_RAM - 4096, 0)), NVME_TRANSFER_ERROR);
	EXPECT_EQ(run(&io, transfer(2, 0, 8, RIG_RAM + 16 * MIB - 4096, ~0ull & ~4095ull)), 0);
	EXPECT_EQ(run(&io, transfer(2, 0, 16, PAGES, ~0ull & ~4095ull)), NVME_TRANSFER_ERROR);
	EXPECT_EQ(run(&io, transfer(2, 0, 16, PAGES, PAGES + 8)), NVME_INVALID_PRP);
	EXPECT_EQ(run(&io, transfer(2, 0, 1, PAGES + 2, 0)), NVME_INVALID_PRP);
	EXPECT_EQ(run(&io, transfer(2, 0, 64, PAGES, LIST + 4)), NVME_INVALID_PRP);
	EXPECT_EQ(run(&io, transfer(2, 0, 64, PAGES, RIG_RAM + 32 * MIB)), NVME_TRANSFER_ERROR);
	EXPECT_EQ(run(&io, transfer(2, 0, 4096, PAGES, LIST)), NVME_INVALID_FIELD);
	EXPECT_EQ(run(&io, transfer(0x7f, 0, 1, PAGES, 0)), NVME_INVALID_OPCODE);
	EXPECT_EQ(run(&io, (struct nvme_command){.opcode = 2, .nsid = 2, .prp1 = PAGES}),
		  NVME_INVALID_NAMESPACE);
	EXPECT_EQ(ftruncate(disk.fd, 512), 0);
	EXPECT_EQ(rig_messages, messages);
	EXPECT_EQ(run(&io, transfer(2, 8, 8, PAGES, 0)), NVME_READ_FAULT);
	EXPECT_EQ(run(&io, transfer(2, 8, 8, PAGES, 0)), NVME_READ_FAULT);
	EXPECT_EQ(rig_messages, messages + 1); /* why, once */
}

TEST(a_read_only_disk_refuses_writes_and_says_that_it_does)
{
	uint8_t *page;

	rig(true);
	enable();
	make_io(8);
	EXPECT_EQ(run(&io, transfer(1, 0, 1, PAGES, 0)), NVME_WRITE_PROTECTED);
	EXPECT_EQ(run(&io, transfer(8, 0, 1, PAGES, 0)), NVME_WRITE_PROTECTED);
	EXPECT_EQ(run(&io, (struct nvme_command){.opcode = 0, .nsid = 1}), 0);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 6, .nsid = 1, .prp1 = PAGES}), 0);
	page = memory_at(&ram, PAGES, 4096);
	EXPECT_EQ(page[99], 1);
}

TEST(queue_commands_are_checked)
{
	rig(false);
	enable();
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 1,
						    .prp1 = IOSQ,
						    .cdw10 = 7 << 16 | 1,
						    .cdw11 = 1 << 16 | 1}),
		  NVME_CQ_INVALID);
	EXPECT_EQ(
		run(&admin,
		    (struct nvme_command){.opcode = 5, .prp1 = IOCQ, .cdw10 = 7 << 16, .cdw11 = 1}),
		NVME_QUEUE_ID_INVALID);
	EXPECT_EQ(run(&admin,
		      (struct nvme_command){
			      .opcode = 5, .prp1 = IOCQ, .cdw10 = 7 << 16 | 900, .cdw11 = 1}),
		  NVME_QUEUE_ID_INVALID);
	EXPECT_EQ(run(&admin,
		      (struct nvme_command){.opcode = 5, .prp1 = IOCQ, .cdw10 = 1, .cdw11 = 1}),
		  NVME_QUEUE_SIZE_INVALID);
	EXPECT_EQ(run(&admin,
		      (struct nvme_command){
			      .opcode = 5, .prp1 = IOCQ, .cdw10 = 2000 << 16 | 1, .cdw11 = 1}),
		  NVME_QUEUE_SIZE_INVALID);
	EXPECT_EQ(run(&admin,
		      (struct nvme_command){
			      .opcode = 5, .prp1 = IOCQ + 4, .cdw10 = 7 << 16 | 1, .cdw11 = 1}),
		  NVME_INVALID_PRP);
	EXPECT_EQ(run(&admin,
		      (struct nvme_command){
			      .opcode = 5, .prp1 = 0, .cdw10 = 7 << 16 | 1, .cdw11 = 1}),
		  NVME_INVALID_PRP);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 5,
						    .prp1 = IOCQ,
						    .cdw10 = 7 << 16 | 1,
						    .cdw11 = 5 << 16 | 3}),
		  NVME_VECTOR_INVALID);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 0, .cdw10 = 1}),
		  NVME_QUEUE_ID_INVALID);
	make_io(8);
	EXPECT_EQ(run(&admin,
		      (struct nvme_command){
			      .opcode = 5, .prp1 = IOCQ, .cdw10 = 7 << 16 | 1, .cdw11 = 1}),
		  NVME_QUEUE_ID_INVALID);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 4, .cdw10 = 1}), NVME_DELETE_INVALID);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 0, .cdw10 = 1}), 0);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 4, .cdw10 = 1}), 0);
}

TEST(the_interrupt_line_follows_unread_completions)
{
	rig(false);
	enable();
	submit(&admin, (struct nvme_command){.opcode = 6, .cid = 9, .prp1 = PAGES, .cdw10 = 1});
	EXPECT_EQ(rig_level[SPI], true);
	EXPECT_EQ(rig_load(&bus, CONFIG + 6, 2) & 8, 8);
	put(0x0c, 1); /* masked in the controller */
	EXPECT_EQ(rig_level[SPI], false);
	put(0x10, 1);
	EXPECT_EQ(rig_level[SPI], true);
	rig_store(&bus, CONFIG + 4, 2, 0x406); /* masked in the configuration */
	EXPECT_EQ(rig_level[SPI], false);
	rig_store(&bus, CONFIG + 4, 2, 6);
	EXPECT_EQ(rig_level[SPI], true);
	EXPECT_EQ(complete(&admin, 9, NULL), 0);
	EXPECT_EQ(rig_level[SPI], false);
}

#define CAP    0x40
#define VECTOR 0x2000

/* MSI-X on, with a message of its own for each of the first three vectors. */
static void enable_msix(void)
{
	for (unsigned i = 0; i < 3; i++) {
		rig_store(&bus, BAR + VECTOR + i * 16, 8, 0x0e010040 | (uint64_t)i << 32);
		put(VECTOR + i * 16 + 8, 0x40 + i);
		put(VECTOR + i * 16 + 12, 0);
	}
	rig_store(&bus, CONFIG + CAP + 2, 2, 0x8000);
	rig_nr_msis = 0;
}

TEST(msix_is_found_by_its_capability)
{
	rig(false);
	EXPECT_EQ(rig_load(&bus, CONFIG + 6, 2) & 0x10, 0x10);
	EXPECT_EQ(rig_load(&bus, CONFIG + 0x34, 1), CAP);
	EXPECT_EQ(rig_load(&bus, CONFIG + CAP, 4), 16 << 16 | 0x11);
	EXPECT_EQ(rig_load(&bus, CONFIG + CAP + 4, 4), 0x2000);
	EXPECT_EQ(rig_load(&bus, CONFIG + CAP + 8, 4), 0x3000);
	rig_store(&bus, CONFIG + CAP, 4, ~0u);
	EXPECT_EQ(rig_load(&bus, CONFIG + CAP, 4), 0xc0100011);
	/* Vectors are masked at first; words and pairs of words can be accessed. */
	EXPECT_EQ(get(VECTOR + 16 * 16 + 12), 1);
	EXPECT_EQ(get(VECTOR + 17 * 16 + 12), 0);
	rig_store(&bus, BAR + VECTOR + 16, 8, 0x1122334455667788);
	EXPECT_EQ(rig_load(&bus, BAR + VECTOR + 16, 8), 0x1122334455667788);
	EXPECT_EQ(get(VECTOR + 20), 0x11223344);
	rig_store(&bus, BAR + VECTOR + 24, 8, ~0ull);
	EXPECT_EQ(rig_load(&bus, BAR + VECTOR + 24, 8), 0x1ffffffff);
	rig_store(&bus, BAR + VECTOR + 16, 2, 0);
	EXPECT_EQ(get(VECTOR + 16), 0x55667788);
	put(0x3000, ~0u);
	EXPECT_EQ(get(0x3000), 0);
}

TEST(completions_send_the_message_of_their_queue)
{
	rig(false);
	enable();
	enable_msix();
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 5, /* vector 17 does not exist */
						    .prp1 = IOCQ,
						    .cdw10 = 7 << 16 | 1,
						    .cdw11 = 17 << 16 | 3}),
		  NVME_VECTOR_INVALID);
	EXPECT_EQ(rig_nr_msis, 1);
	EXPECT_EQ(rig_msi.data, 0x40);
	EXPECT_EQ(rig_msi.address_hi, 0);
	EXPECT_EQ(rig_msi.address_lo, 0x0e010040);
	EXPECT_EQ(rig_msi.flags, KVM_MSI_VALID_DEVID);
	EXPECT_EQ(rig_msi.devid, 1 << 3);
	io = (struct queue_pair){.id = 1, .entries = 8, .phase = 1, .sq = IOSQ, .cq = IOCQ};
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 5,
						    .prp1 = IOCQ,
						    .cdw10 = 7 << 16 | 1,
						    .cdw11 = 2 << 16 | 3}),
		  0);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 1,
						    .prp1 = IOSQ,
						    .cdw10 = 7 << 16 | 1,
						    .cdw11 = 1 << 16 | 1}),
		  0);
	rig_nr_msis = 0;
	submit(&io, transfer(2, 1, 1, PAGES, 0));
	EXPECT_EQ(rig_nr_msis, 1);
	EXPECT_EQ(rig_msi.data, 0x42);
	EXPECT_EQ(rig_msi.address_hi, 2);
	/* The line is not used; taking the completion sends nothing. */
	EXPECT_EQ(rig_level[SPI], false);
	EXPECT_EQ(complete(&io, 0, NULL), 0);
	EXPECT_EQ(rig_nr_msis, 1);
	/* Back to the line. */
	submit(&io, transfer(2, 1, 1, PAGES, 0));
	EXPECT_EQ(rig_nr_msis, 2);
	rig_store(&bus, CONFIG + CAP + 2, 2, 0);
	EXPECT_EQ(rig_level[SPI], true);
	EXPECT_EQ(complete(&io, 0, NULL), 0);
	EXPECT_EQ(rig_level[SPI], false);
	EXPECT_EQ(rig_nr_msis, 2);
}

TEST(a_masked_message_waits)
{
	rig(false);
	enable();
	enable_msix();
	put(VECTOR + 12, 1);
	run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 1});
	run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 1});
	EXPECT_EQ(rig_nr_msis, 0);
	EXPECT_EQ(get(0x3000), 1);
	EXPECT_EQ(rig_load(&bus, BAR + 0x3000, 8), 1);
	put(VECTOR + 12, 0);
	EXPECT_EQ(rig_nr_msis, 1);
	EXPECT_EQ(get(0x3000), 0);
	/* all of them */
	rig_store(&bus, CONFIG + CAP + 2, 2, 0xc000);
	run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 1});
	EXPECT_EQ(rig_nr_msis, 1);
	/* What waits moves with the guest. */
	EXPECT(load(save().used));
	rig_store(&bus, CONFIG + CAP + 2, 2, 0x8000);
	EXPECT_EQ(rig_nr_msis, 2);
	EXPECT_EQ(rig_msi.data, 0x40);
	/* Who may not store, sends none. */
	rig_store(&bus, CONFIG + 4, 2, 2);
	run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 1});
	EXPECT_EQ(rig_nr_msis, 2);
}

TEST(a_full_completion_queue_holds_commands_back_until_there_is_room)
{
	uint16_t cid;

	rig(false);
	enable();
	make_io(4);
	/* Three fit the submission queue; two rounds fill the completion queue with three. */
	for (cid = 1; cid <= 3; cid++)
		submit(&io, (struct nvme_command){.opcode = 0, .cid = cid, .nsid = 1});
	submit(&io, (struct nvme_command){.opcode = 0, .cid = 4, .nsid = 1});
	EXPECT_EQ(disk_ctrl.sq[1].head, 3);
	for (cid = 1; cid <= 4; cid++)
		EXPECT_EQ(complete(&io, cid, NULL), 0);
	EXPECT_EQ(complete(&io, 0, NULL), -1);
	/* Around the ring many times: the phase turns each time. */
	for (unsigned i = 0; i < 50; i++)
		ASSERT_EQ(run(&io, transfer(2, i, 1, PAGES, 0)), 0);
}

TEST(event_requests_stay_outstanding_up_to_their_limit)
{
	rig(false);
	enable();
	for (unsigned i = 0; i < NVME_EVENTS; i++)
		submit(&admin, (struct nvme_command){.opcode = 0xc, .cid = 100 + i});
	EXPECT_EQ(complete(&admin, 0, NULL), -1);
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 0xc}), NVME_EVENT_LIMIT);
}

TEST(impossible_admin_queues_end_in_a_fatal_status_that_a_reset_clears)
{
	rig(false);
	put(0x24, 15 << 16 | 15);
	rig_store(&bus, BAR + 0x28, 8, 0x1000); /* no memory there */
	rig_store(&bus, BAR + 0x30, 8, ACQ);
	put(0x14, 4 << 20 | 6 << 16 | 1);
	EXPECT_EQ(get(0x1c) & 3, 2);
	EXPECT_EQ(rig_messages, 1);
	put(0x14, 0);
	EXPECT_EQ(get(0x1c), 0);
	put(0x24, 15 << 16 | 15);
	rig_store(&bus, BAR + 0x28, 8, 0x1000);
	put(0x14, 4 << 20 | 6 << 16 | 1);
	EXPECT_EQ(get(0x1c) & 3, 2);
	EXPECT_EQ(rig_messages, 1); /* not a flood */
	put(0x14, 0);
	enable();
	EXPECT_EQ(get(0x1c), 1);
	put(0x14, 1 << 14 | 4 << 20 | 6 << 16 | 1);
	EXPECT_EQ(get(0x1c) & 0xc, 8); /* shutdown is complete */
}

/* Whatever a guest stores, the controller stays inside its own and the guest's memory (the sanitizers watch). */
TEST(random_stores_and_commands_do_no_harm)
{
	unsigned long rounds = test_rounds(20000, 2000000);
	uint64_t seed = 1;

	rig(false);
	for (unsigned long i = 0; i < rounds; i++) {
		struct nvme_command cmd = {0};
		uint64_t r;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		r = seed >> 20;
		switch (r % 8) {
		case 0:
			rig_store(&bus, BAR + (r >> 8) % 0x3ff8, 1 << ((r >> 4) & 3), seed);
			break;
		case 1:
			rig_store(&bus, CONFIG + (r >> 8) % 0x40, 1 << ((r >> 4) & 1), seed);
			rig_store(&bus, CONFIG + 0x10, 4, BAR);
			rig_store(&bus, CONFIG + 0x14, 4, 0);
			rig_store(&bus, CONFIG + 4, 2, 6);
			break;
		case 2:
			if (r & 0x700)
				break;
			put(0x14, 0);
			enable();
			break;
		default:
			if (!(get(0x1c) & 1))
				enable();
			cmd = (struct nvme_command){
				.opcode = r >> 8 & 15,
				.flags = r >> 12 & 255 ? 0 : 0x40,
				.nsid = r >> 20 & 31 ? 1 : r,
				.prp1 = PAGES + (seed >> 30 & 0xfffffc),
				.prp2 = seed >> 40 & 7 ? PAGES + (seed >> 44 & 0xff) * 4096 : seed,
				.cdw10 = seed >> 33 & 0xff03ff,
				.cdw11 = seed >> 50 & 0x10003,
				.cdw12 = seed >> 24 & 0x7ff,
			};
			memory_write(&ram, (r & 16 ? ASQ : IOSQ) + (seed >> 36 & 15) * 64, &cmd,
				     64);
			put(0x1000 + (r & 16 ? 0 : 8), seed >> 36 & 15);
			put(0x1004 + (r & 16 ? 0 : 8), seed >> 41 & 15);
		}
	}
	put(0x14, 0);
	enable();
	EXPECT_EQ(run(&admin, (struct nvme_command){.opcode = 6, .prp1 = PAGES, .cdw10 = 1}), 0);
}
