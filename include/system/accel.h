/*
 * Accelerators: what executes guest code. Each is a QOM class named NAME "-accel" ("kvm-accel",
 * "tcg-accel", "qtest-accel"); its options are the QOM properties of the class.
 *
 * The command line hands every -accel, -machine accel= and related option to accel_option_*(); when
 * the machine object exists, accel_configure() tries them in order and keeps the first that works.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SYSTEM_ACCEL_H
#define SYSTEM_ACCEL_H

#include "qapi/error.h"
#include "qom/object.h"

struct MachineState;

typedef struct AccelState AccelState;
typedef struct AccelClass AccelClass;

struct AccelState {
    Object parent_obj;
};

struct AccelClass {
    ObjectClass parent_class;

    const char *name;           /* for humans: "KVM" */
    /**
     * Make it work for this machine: 0, or -errno after having reported why to standard error.
     * Called at most once that succeeds. The accelerator is current_accel() during the call.
     */
    int (*init_machine)(struct MachineState *ms);
    /** After the machine's init function ran. */
    void (*setup_post)(struct MachineState *ms, AccelState *accel);
    bool *allowed;              /* set to true by success; what kvm_enabled() etc. look at */
    GPtrArray *compat_props;
};

#define TYPE_ACCEL "accel"
#define ACCEL_CLASS_SUFFIX "-" TYPE_ACCEL
#define ACCEL_CLASS_NAME(a) (a ACCEL_CLASS_SUFFIX)

#define ACCEL_CLASS(klass) OBJECT_CLASS_CHECK(AccelClass, (klass), TYPE_ACCEL)
#define ACCEL(obj) OBJECT_CHECK(AccelState, (obj), TYPE_ACCEL)
#define ACCEL_GET_CLASS(obj) OBJECT_GET_CLASS(AccelClass, (obj), TYPE_ACCEL)

/** The class of the accelerator with this short name ("kvm"), or NULL. */
AccelClass *accel_find(const char *opt_name);
/** The accelerator in use; NULL before accel_configure() succeeded. */
AccelState *current_accel(void);
/** Its short name ("kvm"); NULL before. */
const char *current_accel_name(void);
int accel_init_machine(AccelState *accel, struct MachineState *ms);
/** Give the chosen accelerator's vCPU operations to system/cpus.c. */
void accel_init_ops_interfaces(AccelClass *ac);
void accel_setup_post(struct MachineState *ms);

/**
 * One -accel argument ("kvm,dirty-ring-size=4096"). "help" prints the list and returns false
 * without error.
 */
bool accel_option_add(const char *optarg, Error **errp);
/** The value of -machine accel= ("kvm:tcg"). Not together with accel_option_add(). */
bool accel_option_set_list(const char *list, Error **errp);
/**
 * A property set elsewhere (-machine kernel-irqchip=) for the accelerator class @driver
 * ("kvm-accel"), applied before the options of -accel itself.
 */
void accel_option_set_property(const char *driver, const char *prop, const char *value);
/**
 * Choose: the first accelerator given that works; without any, tcg, then kvm, of those built in.
 * Says on standard error which fell through and why.
 */
bool accel_configure(struct MachineState *ms, Error **errp);

#endif
