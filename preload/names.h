/* SPDX-License-Identifier: MIT */
/* What a trace calls the numbers of KVM's API. */
#ifndef ANYKVM_PRELOAD_NAMES_H
#define ANYKVM_PRELOAD_NAMES_H

#include "observe.h"

/* Each adds the name to the line; if there is none, the number. */
void name_cap(struct line *l, uint64_t cap);
void name_register(struct line *l, uint64_t id);
void name_irq_line(struct line *l, uint64_t irq);
/* A value of one of the formats that have names in a table. */
void name_value(struct line *l, enum field_format format, uint64_t value);
/* The group and attribute of a device, or of a vCPU. */
void name_attribute(struct line *l, int kind, unsigned device, const struct kvm_device_attr *attr);
/* What is at attr->addr: how many bytes; 0 if it is not a number. */
unsigned attribute_size(int kind, unsigned device, const struct kvm_device_attr *attr);
/* NULL: none. */
const char *device_name(unsigned type);

#endif
