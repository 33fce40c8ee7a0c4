/* SPDX-License-Identifier: MIT */
/* anykvm info: what the library offers, asked through its public API. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <anykvm.h>

#include "accel.h"
#include "cli.h"

static const char info_help[] =
	"Usage: anykvm info [OPTION]...\n"
	"Shows the version, limits, capabilities, and the CPU that guests see.\n"
	"\n"
	"      --accel NAME      anykvm (default), or kvm: the /dev/kvm of an arm64 host\n"
	"  -h, --help            this text\n";

/* Fields of 4 bits of the feature registers (Arm ARM, D19.2); value 0xf of a signed field means
 * "not there". */
struct field {
	const char *name;
	uint8_t shift;
	bool is_signed;
};

struct feature_register {
	const char *name;
	uint64_t id;
	struct field fields[17];
};

#define ID(crm, op2) ARM64_SYS_REG(3, 0, 0, crm, op2)

static const struct feature_register registers[] = {
	{"ID_AA64PFR0_EL1",
	 ID(4, 0),
	 {{"EL0", 0},
	  {"EL1", 4},
	  {"EL2", 8},
	  {"EL3", 12},
	  {"FP", 16, true},
	  {"AdvSIMD", 20, true},
	  {"GIC", 24},
	  {"RAS", 28},
	  {"SVE", 32},
	  {"SEL2", 36},
	  {"MPAM", 40},
	  {"AMU", 44},
	  {"DIT", 48},
	  {"RME", 52},
	  {"CSV2", 56},
	  {"CSV3", 60}}},
	{"ID_AA64PFR1_EL1",
	 ID(4, 1),
	 {{"BT", 0},
	  {"SSBS", 4},
	  {"MTE", 8},
	  {"RAS_frac", 12},
	  {"MPAM_frac", 16},
	  {"SME", 24},
	  {"RNDR_trap", 28},
	  {"CSV2_frac", 32},
	  {"NMI", 36},
	  {"MTE_frac", 40},
	  {"GCS", 44},
	  {"THE", 48},
	  {"MTEX", 52},
	  {"DF2", 56},
	  {"PFAR", 60}}},
	{"ID_AA64ISAR0_EL1",
	 ID(6, 0),
	 {{"AES", 4},
	  {"SHA1", 8},
	  {"SHA2", 12},
	  {"CRC32", 16},
	  {"Atomic", 20},
	  {"TME", 24},
	  {"RDM", 28},
	  {"SHA3", 32},
	  {"SM3", 36},
	  {"SM4", 40},
	  {"DP", 44},
	  {"FHM", 48},
	  {"TS", 52},
	  {"TLB", 56},
	  {"RNDR", 60}}},
	{"ID_AA64ISAR1_EL1",
	 ID(6, 1),
	 {{"DPB", 0},
	  {"APA", 4},
	  {"API", 8},
	  {"JSCVT", 12},
	  {"FCMA", 16},
	  {"LRCPC", 20},
	  {"GPA", 24},
	  {"GPI", 28},
	  {"FRINTTS", 32},
	  {"SB", 36},
	  {"SPECRES", 40},
	  {"BF16", 44},
	  {"DGH", 48},
	  {"I8MM", 52},
	  {"XS", 56},
	  {"LS64", 60}}},
	{"ID_AA64ISAR2_EL1",
	 ID(6, 2),
	 {{"WFxT", 0},
	  {"RPRES", 4},
	  {"GPA3", 8},
	  {"APA3", 12},
	  {"MOPS", 16},
	  {"BC", 20},
	  {"PAC_frac", 24},
	  {"CLRBHB", 28},
	  {"SYSREG_128", 32},
	  {"SYSINSTR_128", 36},
	  {"PRFMSLC", 40},
	  {"RPRFM", 48},
	  {"CSSC", 52}}},
	{"ID_AA64MMFR0_EL1",
	 ID(7, 0),
	 {{"PARange", 0},
	  {"ASIDBits", 4},
	  {"BigEnd", 8},
	  {"SNSMem", 12},
	  {"BigEndEL0", 16},
	  {"TGran16", 20},
	  {"TGran64", 24, true},
	  {"TGran4", 28, true},
	  {"TGran16_2", 32},
	  {"TGran64_2", 36},
	  {"TGran4_2", 40},
	  {"ExS", 44},
	  {"FGT", 56},
	  {"ECV", 60}}},
	{"ID_AA64MMFR1_EL1",
	 ID(7, 1),
	 {{"HAFDBS", 0},
	  {"VMIDBits", 4},
	  {"VH", 8},
	  {"HPDS", 12},
	  {"LO", 16},
	  {"PAN", 20},
	  {"SpecSEI", 24},
	  {"XNX", 28},
	  {"TWED", 32},
	  {"ETS", 36},
	  {"HCX", 40},
	  {"AFP", 44},
	  {"nTLBPA", 48},
	  {"TIDCP1", 52},
	  {"CMOW", 56},
	  {"ECBHB", 60}}},
	{"ID_AA64MMFR2_EL1",
	 ID(7, 2),
	 {{"CnP", 0},
	  {"UAO", 4},
	  {"LSM", 8},
	  {"IESB", 12},
	  {"VARange", 16},
	  {"CCIDX", 20},
	  {"NV", 24},
	  {"ST", 28},
	  {"AT", 32},
	  {"IDS", 36},
	  {"FWB", 40},
	  {"TTL", 48},
	  {"BBM", 52},
	  {"EVT", 56},
	  {"E0PD", 60}}},
	{"ID_AA64MMFR3_EL1",
	 ID(7, 3),
	 {{"TCRX", 0},
	  {"SCTLRX", 4},
	  {"S1PIE", 8},
	  {"S2PIE", 12},
	  {"S1POE", 16},
	  {"S2POE", 20},
	  {"AIE", 24},
	  {"MEC", 28},
	  {"Spec_FPACC", 60}}},
	{"ID_AA64DFR0_EL1",
	 ID(5, 0),
	 {{"DebugVer", 0},
	  {"TraceVer", 4},
	  {"PMUVer", 8, true},
	  {"BRPs", 12},
	  {"PMSS", 16},
	  {"WRPs", 20},
	  {"SEBEP", 24},
	  {"CTX_CMPs", 28},
	  {"PMSVer", 32},
	  {"DoubleLock", 36, true},
	  {"TraceFilt", 40},
	  {"TraceBuffer", 44},
	  {"MTPMU", 48, true},
	  {"BRBE", 52},
	  {"HPMN0", 60}}},
	{"ID_AA64ZFR0_EL1",
	 ID(4, 4),
	 {{"SVEver", 0},
	  {"AES", 4},
	  {"BitPerm", 16},
	  {"BF16", 20},
	  {"SHA3", 32},
	  {"SM4", 40},
	  {"I8MM", 44},
	  {"F32MM", 52},
	  {"F64MM", 56}}},
};

static bool get(const struct accel *accel, int vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)value};

	return accel->ioctl(vcpu, KVM_GET_ONE_REG, &request) == 0;
}

static void print_register(const struct accel *accel, int vcpu, const struct feature_register *reg)
{
	uint64_t value;

	if (!get(accel, vcpu, reg->id, &value))
		return;
	printf("  %-17s %016llx ", reg->name, value + 0ull);
	for (const struct field *field = reg->fields; field->name; field++) {
		unsigned bits = value >> field->shift & 15;

		if (field->is_signed ? bits != 15 : bits)
			printf(" %s=%u", field->name, bits);
	}
	putchar('\n');
}

static void print_cpu(const struct accel *accel, int vcpu)
{
	struct kvm_reg_list list = {0};
	uint64_t midr;

	if (get(accel, vcpu, ID(0, 0), &midr))
		printf("  MIDR_EL1          %016llx  implementer 0x%02x, part 0x%03x, r%up%u\n",
		       midr + 0ull, (unsigned)(midr >> 24 & 0xff), (unsigned)(midr >> 4 & 0xfff),
		       (unsigned)(midr >> 20 & 15), (unsigned)(midr & 15));
	for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		print_register(accel, vcpu, &registers[i]);
	/* E2BIG is the answer that tells the number. */
	if (accel->ioctl(vcpu, KVM_GET_REG_LIST, &list) < 0 && errno == E2BIG)
		printf("  registers         %llu\n", list.n + 0ull);
}

static int print_machine(const struct accel *accel, int kvm)
{
	struct kvm_vcpu_init init;
	int vm = accel->ioctl(kvm, KVM_CREATE_VM, 0ul), vcpu = -1, status = -1;

	if (vm >= 0)
		vcpu = accel->ioctl(vm, KVM_CREATE_VCPU, 0ul);
	if (vcpu >= 0 && accel->ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) >= 0) {
		init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
		status = accel->ioctl(vcpu, KVM_ARM_VCPU_INIT, &init);
	}
	if (status < 0) {
		cli_say_errno("a vCPU to ask");
	} else {
		printf("\nCPU (target %u; fields that are not zero)\n", init.target);
		print_cpu(accel, vcpu);
	}
	if (vcpu >= 0)
		accel->close(vcpu);
	if (vm >= 0)
		accel->close(vm);
	return status;
}

static void print_limits(const struct accel *accel, int kvm)
{
	static const struct {
		unsigned cap;
		const char *what;
	} limits[] = {
		{KVM_CAP_NR_VCPUS, "recommended CPUs"},
		{KVM_CAP_MAX_VCPUS, "CPUs"},
		{KVM_CAP_MAX_VCPU_ID, "CPU ids"},
		{KVM_CAP_NR_MEMSLOTS, "memory slots"},
		{KVM_CAP_ARM_VM_IPA_SIZE, "guest physical address bits"},
	};

	printf("\nlimits\n");
	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		printf("  %8d  %s\n",
		       accel->ioctl(kvm, KVM_CHECK_EXTENSION, (unsigned long)limits[i].cap),
		       limits[i].what);
	printf("  %8d  bytes shared with a vCPU\n", accel->ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0ul));
}

static void print_capabilities(const struct accel *accel, int kvm)
{
	unsigned count = 0;

	printf("\ncapabilities that are not 0\n");
	for (unsigned cap = 0; cap < 512; cap++) {
		int value = accel->ioctl(kvm, KVM_CHECK_EXTENSION, (unsigned long)cap);
		const char *name = anykvm_cap_name(cap);

		if (value <= 0)
			continue;
		count++;
		printf("  %3u  %-32s %d\n", cap, name ? name : "?", value);
	}
	printf("  %u of them\n", count);
}

static void print_features(void)
{
	int column = 0;

	printf("\nfeatures that guests may be given\n");
	for (unsigned i = 0;; i++) {
		const char *name = anykvm_feature_name(i);

		if (!name)
			break;
		if (column + strlen(name) + 1 > 80) {
			putchar('\n');
			column = 0;
		}
		column += printf("%s%s", column ? " " : "  ", name);
	}
	putchar('\n');
}

static const struct accel *parse(int argc, char **argv, int *status)
{
	static const struct option options[] = {{"accel", required_argument, NULL, 'a'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	const char *name = "anykvm";
	int option;

	opterr = 0;
	optind = 1;
	*status = CLI_USAGE;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(info_help, stdout);
			*status = CLI_OK;
			return NULL;
		}
		if (option != 'a') {
			cli_say(option == ':'
					? "option %s needs an argument; see anykvm info --help"
					: "unknown option %s; see anykvm info --help",
				argv[optind - 1]);
			return NULL;
		}
		name = optarg;
	}
	if (optind < argc) {
		cli_say("%s: unexpected; see anykvm info --help", argv[optind]);
		return NULL;
	}
	return accel_find(name);
}

int info_main(int argc, char **argv)
{
	int status, kvm;
	const struct accel *accel = parse(argc, argv, &status);

	if (!accel)
		return status;
	kvm = accel->open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		cli_say_errno("/dev/kvm");
		return CLI_FAILED;
	}
	printf("anykvm %s, KVM API version %d, engine: %s\n", anykvm_version(),
	       accel->ioctl(kvm, KVM_GET_API_VERSION, 0ul),
	       accel->stats ? anykvm_engine_name() : "the host's KVM");
	print_limits(accel, kvm);
	print_capabilities(accel, kvm);
	status = print_machine(accel, kvm) ? CLI_FAILED : CLI_OK;
	if (accel->stats)
		print_features();
	accel->close(kvm);
	return status;
}
