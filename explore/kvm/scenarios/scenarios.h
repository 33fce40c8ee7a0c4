/* SPDX-License-Identifier: MIT */
/* All scenarios of this library, for the program and its tests. Add one: a struct in a file of its group, a line here. */
#ifndef ANYKVM_EXPLORE_KVM_SCENARIOS_H
#define ANYKVM_EXPLORE_KVM_SCENARIOS_H

#include "anykvm/explore.h"

/* clang-format off */
#define KVM_SCENARIOS(X) \
	X(scenario_teardown_flush_twice) \
	X(scenario_teardown_two_releases) \
	X(scenario_teardown_cache_guard) \
	X(scenario_teardown_release_and_slot_change) \
	X(scenario_teardown_assert_callers) \
	X(scenario_gmem_dying_file) \
	X(scenario_gmem_dying_file_and_fault) \
	X(scenario_gmem_fault_and_close) \
	X(scenario_gmem_put_in_section) \
	X(scenario_gmem_create_and_close) \
	X(scenario_gmem_punch_and_fault) \
	X(scenario_gmem_punch_and_bind) \
	X(scenario_gmem_two_views) \
	X(scenario_gmem_two_views_dying) \
	X(scenario_gmem_open_and_punch) \
	X(scenario_gmem_error_and_open) \
	X(scenario_notifier_and_fault) \
	X(scenario_notifier_and_tlb) \
	X(scenario_notifier_two_pairs) \
	X(scenario_notifier_and_slot_creation) \
	X(scenario_notifier_and_slot_deletion) \
	X(scenario_notifier_slot_and_fault) \
	X(scenario_notifier_and_last_close) \
	X(scenario_notifier_and_creation) \
	X(scenario_notifier_age_and_slot_deletion) \
	X(scenario_notifier_age_and_last_close) \
	X(scenario_notifier_nested_pairs) \
	X(scenario_notifier_turn) \
	X(scenario_slots_arch_lock) \
	X(scenario_slots_bitmap) \
	X(scenario_slots_asked_and_deleted) \
	X(scenario_slots_failed_move) \
	X(scenario_slots_failed_move_and_log) \
	X(scenario_slots_delete_and_fault) \
	X(scenario_split_and_flush) \
	X(scenario_unmap_and_flush) \
	X(scenario_unmap_twice) \
	X(scenario_table_under_walker) \
	X(scenario_table_unmapped_under_walker) \
	X(scenario_table_under_map) \
	X(scenario_ring_reset_and_push) \
	X(scenario_ring_reset_twice) \
	X(scenario_ring_reset_and_delete) \
	X(scenario_ring_full) \
	X(scenario_ring_collect_and_push) \
	X(scenario_nested_growth) \
	X(scenario_nested_growth_and_flush) \
	X(scenario_nested_use_and_flush) \
	X(scenario_nested_recycle) \
	X(scenario_nested_busy) \
	X(scenario_nested_discard) \
	X(scenario_nested_tlbi_vmid) \
	X(scenario_nested_tlbi_ipa) \
	X(scenario_vcpu_create_and_ioctl) \
	X(scenario_vcpu_create_twice) \
	X(scenario_vcpu_destroy_order) \
	X(scenario_vcpu_create_fails) \
	X(scenario_vcpu_sleep_and_signal) \
	X(scenario_device_create_and_close) \
	X(scenario_vm_create_and_close) \
	X(scenario_vm_create_twice) \
	X(scenario_vm_create_and_destroy) \
	X(scenario_irqfd_assign_and_deassign) \
	X(scenario_irqfd_signal_and_close) \
	X(scenario_irqfd_resample_and_close) \
	X(scenario_irq_route_and_raise) \
	X(scenario_io_bus_shrinks) \
	X(scenario_lock_order_all_vcpus) \
	X(scenario_its_msi_and_discard) \
	X(scenario_its_msi_and_mapd) \
	X(scenario_its_msi_and_reset) \
	X(scenario_its_msi_and_close) \
	X(scenario_its_msi_and_lpis_off) \
	X(scenario_its_msi_and_lpis_on) \
	X(scenario_its_msi_and_move) \
	X(scenario_its_queue_and_poll) \
	X(scenario_sync_event_count)
/* clang-format on */

#define KVM_SCENARIO_DECLARE(name) extern const struct explore_scenario name;
KVM_SCENARIOS(KVM_SCENARIO_DECLARE)
#undef KVM_SCENARIO_DECLARE

extern const struct explore_scenario *const kvm_scenarios[];
extern const size_t nr_kvm_scenarios;

#endif
