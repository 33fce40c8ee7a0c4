/* SPDX-License-Identifier: MIT */
/* I/O commands (section 6), PRP lists (4.3), and the file behind the namespace. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "nvme.h"

enum { IO_FLUSH = 0x00, IO_WRITE = 0x01, IO_READ = 0x02, IO_WRITE_ZEROES = 0x08 };

#define MAX_PAGES ((1u << NVME_MDTS) + 1)

struct nvme_pieces {
	struct iovec iov[MAX_PAGES];
	unsigned nr;
};

static bool pieces_add(struct nvme_pieces *pieces, uint8_t *data, size_t length)
{
	struct iovec *last = pieces->nr ? &pieces->iov[pieces->nr - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += length;
		return true;
	}
	if (pieces->nr == MAX_PAGES)
		return false;
	pieces->iov[pieces->nr++] = (struct iovec){.iov_base = data, .iov_len = length};
	return true;
}

/*
 * PRP 1 is the first page, with an offset. What is left is PRP 2 if it fits one page, else a list
 * at PRP 2 whose last entry in each page points to the next page of the list while more than that
 * entry's page is left.
 */
static uint16_t nvme_gather(const struct nvme *ctrl, const struct nvme_command *cmd, size_t length,
			    struct nvme_pieces *pieces)
{
	uint64_t address = cmd->prp1, list = cmd->prp2;
	bool direct = true;

	pieces->nr = 0;
	while (length) {
		size_t part = NVME_PAGE - address % NVME_PAGE;
		uint8_t *data;

		if (part > length)
			part = length;
		data = memory_at(ctrl->ram, address, part);
		if (address % 4 || !data)
			return address % 4 ? NVME_INVALID_PRP : NVME_TRANSFER_ERROR;
		if (!pieces_add(pieces, data, part))
			return NVME_INVALID_FIELD;
		length -= part;
		if (!length)
			break;
		if (direct && length <= NVME_PAGE) {
			address = cmd->prp2;
		} else {
			if (list % 8 || !memory_read(ctrl->ram, list, &address, 8))
				return list % 8 ? NVME_INVALID_PRP : NVME_TRANSFER_ERROR;
			if (list % NVME_PAGE == NVME_PAGE - 8 && length > NVME_PAGE) {
				list = address;
				if (list % 8 || !memory_read(ctrl->ram, list, &address, 8))
					return list % 8 ? NVME_INVALID_PRP : NVME_TRANSFER_ERROR;
			}
			list += 8;
		}
		direct = false;
		if (address % NVME_PAGE)
			return NVME_INVALID_PRP;
	}
	return NVME_SUCCESS;
}

/* Of what has been stored in the pieces; iov[0..nr) as nvme_gather() made it. */
static void nvme_mark_dirty(const struct nvme *ctrl, const struct iovec *iov, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		memory_mark_dirty(ctrl->ram, iov[i].iov_base, iov[i].iov_len);
}

uint16_t nvme_return_data(struct nvme *ctrl, const struct nvme_command *cmd, const void *data,
			  size_t length)
{
	struct nvme_pieces pieces;
	uint16_t status = nvme_gather(ctrl, cmd, length, &pieces);
	const uint8_t *from = data;

	if (status)
		return status;
	for (unsigned i = 0; i < pieces.nr; i++) {
		memcpy(pieces.iov[i].iov_base, from, pieces.iov[i].iov_len);
		from += pieces.iov[i].iov_len;
	}
	nvme_mark_dirty(ctrl, pieces.iov, pieces.nr);
	return NVME_SUCCESS;
}

/* All of the pieces, however often the host hands back less. */
static bool nvme_transfer(const struct nvme *ctrl, struct nvme_pieces *pieces, uint64_t offset,
			  bool write)
{
	struct iovec *iov = pieces->iov;
	unsigned nr = pieces->nr;
	int fd = ctrl->disk.fd;

	while (nr) {
		ssize_t done = write ? pwritev(fd, iov, nr, offset) : preadv(fd, iov, nr, offset);

		/* All of it, whatever came: a failed read may have stored, too. */
		if (!write)
			nvme_mark_dirty(ctrl, iov, nr);

		if (done < 0 && errno == EINTR)
			continue;
		if (!done)
			errno = EIO; /* the file has been cut */
		if (done <= 0)
			return false;
		offset += done;
		while (nr && (size_t)done >= iov->iov_len) {
			done -= iov->iov_len;
			iov++;
			nr--;
		}
		if (nr) {
			iov->iov_base = (uint8_t *)iov->iov_base + done;
			iov->iov_len -= done;
		}
	}
	return true;
}

static bool nvme_zero(int fd, uint64_t offset, uint64_t length)
{
	static const uint8_t zeros[65536];

	if (!fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length))
		return true;
	while (length) {
		ssize_t done =
			pwrite(fd, zeros, length < sizeof(zeros) ? length : sizeof(zeros), offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		offset += done;
		length -= done;
	}
	return true;
}

/* The guest sees a fault of the medium; only here is it known why. */
static uint16_t nvme_file_error(struct nvme *ctrl, bool write)
{
	if (!ctrl->file_errors++)
		cli_say_errno("disk %s: %s its file", ctrl->serial, write ? "writing" : "reading");
	return write ? NVME_WRITE_FAULT : NVME_READ_FAULT;
}

static uint16_t nvme_read_write(struct nvme *ctrl, const struct nvme_command *cmd)
{
	uint64_t lba = cmd->cdw10 | (uint64_t)cmd->cdw11 << 32, count = (cmd->cdw12 & 0xffff) + 1;
	uint64_t sectors = ctrl->disk.size / NVME_SECTOR;
	bool write = cmd->opcode != IO_READ;
	struct nvme_pieces pieces;
	uint16_t status;

	if (write && ctrl->disk.read_only)
		return NVME_WRITE_PROTECTED;
	if (lba > sectors || count > sectors - lba)
		return NVME_LBA_RANGE;
	if (cmd->opcode == IO_WRITE_ZEROES) {
		ctrl->writes++;
		return nvme_zero(ctrl->disk.fd, lba * NVME_SECTOR, count * NVME_SECTOR)
			       ? NVME_SUCCESS
			       : nvme_file_error(ctrl, true);
	}
	if (count > ((uint64_t)NVME_PAGE << NVME_MDTS) / NVME_SECTOR)
		return NVME_INVALID_FIELD;
	status = nvme_gather(ctrl, cmd, count * NVME_SECTOR, &pieces);
	if (status)
		return status;
	if (!nvme_transfer(ctrl, &pieces, lba * NVME_SECTOR, write))
		return nvme_file_error(ctrl, write);
	if (write && (cmd->cdw12 >> 30 & 1) && fdatasync(ctrl->disk.fd)) /* Force Unit Access */
		return NVME_WRITE_FAULT;
	if (write) {
		ctrl->writes++;
		ctrl->sectors_written += count;
	} else {
		ctrl->reads++;
		ctrl->sectors_read += count;
	}
	return NVME_SUCCESS;
}

uint16_t nvme_io(struct nvme *ctrl, const struct nvme_command *cmd)
{
	if (cmd->nsid != 1 && !(cmd->opcode == IO_FLUSH && cmd->nsid == 0xffffffff))
		return NVME_INVALID_NAMESPACE;
	switch (cmd->opcode) {
	case IO_FLUSH:
		return ctrl->disk.read_only || !fdatasync(ctrl->disk.fd) ? NVME_SUCCESS
									 : NVME_WRITE_FAULT;
	case IO_WRITE:
	case IO_READ:
	case IO_WRITE_ZEROES:
		return nvme_read_write(ctrl, cmd);
	default:
		return NVME_INVALID_OPCODE;
	}
}

int nvme_disk_open(struct nvme_disk *disk, const char *path, bool read_only, bool lock)
{
	struct stat info;
	off_t size;

	disk->read_only = read_only;
	disk->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (disk->fd < 0) {
		int error = errno;

		cli_say_errno("disk %s", path);
		if (error == EACCES || error == EROFS)
			cli_say("  a disk that is only read is given as -d %s,ro", path);
		return -error;
	}
	size = fstat(disk->fd, &info) || (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
		       ? -1
		       : lseek(disk->fd, 0, SEEK_END);
	/* Not block devices: udev takes the same lock now and then. */
	if (lock && size >= 0 && S_ISREG(info.st_mode) &&
	    flock(disk->fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) && errno == EWOULDBLOCK) {
		cli_say("disk %s: another guest uses it, or it is given twice; only with ,ro each "
			"time may they share",
			path);
	} else if (size < 0) {
		cli_say("disk %s: neither a file nor a block device", path);
	} else if (size < NVME_SECTOR) {
		cli_say("disk %s: smaller than one sector of %u bytes", path, NVME_SECTOR);
	} else {
		if (size % NVME_SECTOR)
			cli_say("disk %s: the last %u bytes are no whole sector and stay hidden",
				path, (unsigned)(size % NVME_SECTOR));
		disk->size = size - size % NVME_SECTOR;
		return 0;
	}
	nvme_disk_close(disk);
	return -EINVAL;
}

void nvme_disk_close(struct nvme_disk *disk)
{
	if (disk->fd >= 0)
		close(disk->fd);
	disk->fd = -1;
}
