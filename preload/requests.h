/* SPDX-License-Identifier: MIT */
/* What is known of KVM's requests beyond their names: what their arguments hold, and what a program should have asked before. */
#ifndef ANYKVM_PRELOAD_REQUESTS_H
#define ANYKVM_PRELOAD_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <anykvm/kvm.h>

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
	FIELD_FEATURE,	/* one of them, by its number */
	FIELD_MP_STATE,
	FIELD_SLOT_FLAGS,
	FIELD_IRQ_LINE,
	FIELD_IRQFD_FLAGS,
	FIELD_IOEVENTFD_FLAGS,
	FIELD_MSI_FLAGS,
	FIELD_DEBUG,
	FIELD_SMCCC_ACTION,
	FIELD_PMU_ACTION,
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
	const struct field *fields;
	uint16_t nr_fields;
	bool out; /* all of the structure is the answer */
};

/* NULL: nothing is known. Numbers collide between kinds of descriptors (enum anykvm_fd_kind). */
const struct request_info *request_info_find(int kind, unsigned long request);

/* Of any request of the header, also of those that KVM/arm64 does not know. NULL: there is none. */
const char *request_name(uint32_t request);

/* A structure that an attribute's addr points at. */
struct layout {
	const struct field *fields;
	unsigned nr_fields;
	size_t size;
};

/* NULL: it is none. */
const struct layout *attribute_layout(int kind, const struct kvm_device_attr *attr);

/* A feature bit of KVM_ARM_VCPU_INIT: the capability that tells of it, or NO_CAP. */
unsigned vcpu_feature_cap(unsigned bit);

#endif
