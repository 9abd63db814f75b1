/* What is simulated: read once from the file that the environment variable NVML_SIM names.
 *
 * One setting a line; `#` begins a comment. Before the first `gpu`:
 *   epoch NS           monotonic time of second 0 (default 0)
 *   clock FILE         controlled time: a file of one native int64, nanoseconds; otherwise the monotonic clock
 *   driver TEXT        cuda N (12040 is 12.4)          init_error CODE
 *   faults FILE        times of faults (lost_at, counter_reset_at, throttle, error, slow, process) count from the
 *                      monotonic nanosecond that this file holds; while it is not there, there is none of them
 * Then for each `gpu UUID NAME...`:
 *   power constant W | square LOW HIGH PERIOD_S DUTY | ramp W0 W1 T0 T1 | trace IDLE_W FILE
 *         | pattern W1 S1 W2 S2 ...   watts for so many seconds each, over and over: a burst, then a plateau
 *   shift S                   the formula runs ahead by S, so that cards need not act in step
 *   counter PERIOD_S PHASE_S QUANTUM_MJ | none         counter_reset_at S      lost_at S
 *   average WINDOW_S LAG_S    what the averaged power field shows       power_unsupported
 *   module W                  a superchip: its module draws so much beside the GPU, and the counter is the module's
 *   limit W   temperature C   gpu_clock MHZ   memory_clock MHZ   throttle BITS FROM_S TO_S
 *   memory TOTAL_MIB USED_MIB   process PID USED_MIB [FROM_S TO_S]   mig
 *   error FUNCTION CODE [FROM_S TO_S]   slow FUNCTION MS [FROM_S TO_S]   FUNCTION as C names it; `*` for every one
 *   architecture N (2 Pascal, 5 Volta, 9 Hopper)        utilization GPU_PCT MEMORY_PCT
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "power.h"

#define MAX_GPUS 16
#define MAX_RULES 16

struct rule { char function[64]; int number; double from_s, to_s; };

struct tenant { unsigned pid, mib; double from_s, to_s; };

struct gpu {
    char uuid[96], name[96];
    struct power power;
    double counter_period_s, counter_phase_s, counter_quantum_mj, counter_reset_at, lost_at;
    int counter_supported, power_supported, mig;
    double average_window_s, average_lag_s, limit_w, module_w;
    unsigned temperature_c, gpu_clock_mhz, memory_clock_mhz;
    unsigned long long throttle;
    double throttle_from_s, throttle_to_s;
    unsigned long long memory_total_mib, memory_used_mib;
    struct tenant tenants[MAX_RULES];
    unsigned processes;
    struct rule errors[MAX_RULES], delays[MAX_RULES];
    unsigned error_count, delay_count, architecture, utilization, memory_utilization;
};

struct scenario {
    long long epoch_ns;
    char clock[512], faults[512], driver[80];
    int cuda, init_error;
    struct gpu gpus[MAX_GPUS];
    unsigned count;
};

int scenario_load(const char *path);       /* instead of what NVML_SIM names; 0 where it cannot be read */
const struct scenario *scenario_get(void); /* NULL where NVML_SIM names no readable scenario */
double scenario_now(void);                 /* seconds since the epoch */
double scenario_faults_from(void);         /* the second from which faults count; infinite while there are none */
int scenario_fault(double from_s, double to_s); /* is it now between these two times of a fault? */

#endif
