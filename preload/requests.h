/* SPDX-License-Identifier: MIT */
/* What is known of KVM's requests beyond their names: what their arguments hold, and what a program should have asked before. */
#ifndef ANYKVM_PRELOAD_REQUESTS_H
#define ANYKVM_PRELOAD_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_format {
	FIELD_DECIMAL,
	FIELD_SIGNED,
	FIELD_HEX,
	FIELD_CAP,	/* a capability by its name */
	FIELD_REGISTER, /* an id of GET_ONE_REG */
	FIELD_ZERO,	/* reserved: shown by nobody, looked at by --strict */
	FIELD_OUT,	/* signed, and known after the call only */
	/* By name. */
	FIELD_DEVICE,
	FIELD_DEVICE_FLAGS,
	FIELD_FEATURES, /* of KVM_ARM_VCPU_INIT */
	FIELD_MP_STATE,
	FIELD_SLOT_FLAGS,
	FIELD_IRQ_LINE,
	FIELD_IRQFD_FLAGS,
	FIELD_IOEVENTFD_FLAGS,
	FIELD_MSI_FLAGS,
	FIELD_DEBUG,
};

/* A member of the structure that the argument points at. */
struct field {
	const char *name;
	uint16_t offset, size;
	enum field_format format;
};

#define NO_CAP 0xffff

struct request_info {
	uint32_t request;
	uint16_t cap; /* that tells whether there is such a request; NO_CAP: it was there always */
	enum field_format argument; /* FIELD_ZERO: a pointer, or nothing worth showing */
	const char *argument_name;
	const struct field *fields;
	uint16_t nr_fields;
};

/* NULL: nothing is known. Numbers collide between kinds of descriptors (enum anykvm_fd_kind). */
const struct request_info *request_info_find(int kind, unsigned long request);

/* A feature bit of KVM_ARM_VCPU_INIT: the capability that tells of it, or NO_CAP. */
unsigned vcpu_feature_cap(unsigned bit);

#endif
