/*
 * The table of CPU models: between cpu-models.c and cpu.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_CPU_MODELS_H
#define TARGET_I386_CPU_MODELS_H

#include "cpu.h"

/** All models that have features of their own ("host" and "max" take the accelerator's). */
const X86CPUDefinition *x86_cpu_models(unsigned *nr);

#endif
