/* A simulated libnvidia-ml.so.1: the symbols of NVML that meters call, answered from a scenario. */
#include "scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))
enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, DRIVER_NOT_LOADED = 9, GPU_LOST = 15 };
enum { FIELD_ENERGY = 83, FIELD_POWER_AVERAGE = 185, FIELD_POWER_INSTANT = 186 };
enum { SCOPE_GPU = 0, SCOPE_MODULE = 1 };

typedef const struct gpu *device_t;
typedef struct { unsigned id, scope; long timestamp, latency; unsigned type, status; union { double d; unsigned ui; unsigned long ul; unsigned long long ull; } value; } field_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;
typedef struct { unsigned version, sensor; int celsius; } temperature_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;

static int initialized;

static int applies(const struct rule *rule, const char *function) {
    if (strcmp(rule->function, "*") && strcmp(rule->function, function)) return 0;
    return scenario_fault(rule->from_s, rule->to_s);
}

/* Every call on a device passes here: is it there, slow, lost, or told to fail? */
static int enter(device_t g, const char *function) {
    if (!initialized) return UNINITIALIZED;
    if (!g) return INVALID_ARGUMENT;
    for (unsigned i = 0; i < g->delay_count; i++)
        if (applies(&g->delays[i], function)) usleep(g->delays[i].number * 1000);
    if (g->lost_at >= 0 && scenario_fault(g->lost_at, INFINITY)) return GPU_LOST;
    for (unsigned i = 0; i < g->error_count; i++)
        if (applies(&g->errors[i], function)) return g->errors[i].number;
    return OK;
}
#define ENTER(g) do { int status_ = enter(g, __func__); if (status_) return status_; } while (0)

/* The counter shows the energy at its last tick, in whole quanta, since boot or its reset. */
static unsigned long long counter_mj(device_t g, double now) {
    double tick = floor((now - g->counter_phase_s) / g->counter_period_s) * g->counter_period_s + g->counter_phase_s;
    if (tick < 0) tick = 0;
    double reset = g->counter_reset_at < 0 ? INFINITY : scenario_faults_from() + g->counter_reset_at;
    double from = tick >= reset ? reset : 0;
    double beside_w = g->module_w > 0 ? g->module_w : 0; /* a superchip has one counter, the module's */
    double mj = (power_energy(&g->power, from, tick) + beside_w * (tick - from)) * 1000 + (from > 0 ? 0 : 1e6);
    return (unsigned long long)(floor(mj / g->counter_quantum_mj) * g->counter_quantum_mj);
}

static unsigned average_mw(device_t g, double now) {
    double to = now - g->average_lag_s, from = to - g->average_window_s;
    if (from < 0) from = 0;
    return to > from ? (unsigned)(power_energy(&g->power, from, to) / (to - from) * 1000) : (unsigned)(power_at(&g->power, now) * 1000);
}

API double sim_energy_j(unsigned gpu, double from_s, double to_s) { /* ground truth; seconds since the epoch */
    return power_energy(&scenario_get()->gpus[gpu].power, from_s, to_s);
}
API int sim_load(const char *path) { return scenario_load(path); } /* for who asks for the truth alone */
API double sim_power_w(unsigned gpu, double at_s) { return power_at(&scenario_get()->gpus[gpu].power, at_s); }
API double sim_now_s(void) { return scenario_get() ? scenario_now() : -1; }

API int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    const struct scenario *s = scenario_get();
    if (!s) return DRIVER_NOT_LOADED;
    if (s->init_error) return s->init_error;
    initialized = 1;
    return OK;
}
API int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API int nvmlInit(void) { return nvmlInitWithFlags(0); }
API int nvmlShutdown(void) { return OK; }
API const char *nvmlErrorString(int code) {
    switch (code) {
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Simulated error";
    }
}
API int nvmlSystemGetDriverVersion(char *text, unsigned n) { return !initialized ? UNINITIALIZED : (snprintf(text, n, "%s", scenario_get()->driver), OK); }
API int nvmlSystemGetNVMLVersion(char *text, unsigned n) { return nvmlSystemGetDriverVersion(text, n); }
API int nvmlSystemGetCudaDriverVersion_v2(int *version) { return !initialized ? UNINITIALIZED : (*version = scenario_get()->cuda, OK); }
API int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

API int nvmlDeviceGetCount_v2(unsigned *count) { return !initialized ? UNINITIALIZED : (*count = scenario_get()->count, OK); }
API int nvmlDeviceGetHandleByIndex_v2(unsigned i, device_t *g) {
    if (!initialized) return UNINITIALIZED;
    if (i >= scenario_get()->count) return INVALID_ARGUMENT;
    *g = &scenario_get()->gpus[i];
    return OK;
}
API int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *g) {
    if (!initialized) return UNINITIALIZED;
    for (unsigned i = 0; i < scenario_get()->count; i++)
        if (!strcmp(scenario_get()->gpus[i].uuid, uuid)) return *g = &scenario_get()->gpus[i], OK;
    return NOT_FOUND;
}
API int nvmlDeviceGetIndex(device_t g, unsigned *i) { ENTER(g); *i = (unsigned)(g - scenario_get()->gpus); return OK; }
API int nvmlDeviceGetUUID(device_t g, char *text, unsigned n) { ENTER(g); snprintf(text, n, "%s", g->uuid); return OK; }
API int nvmlDeviceGetName(device_t g, char *text, unsigned n) { ENTER(g); snprintf(text, n, "%s", g->name); return OK; }
API int nvmlDeviceGetPciInfo_v3(device_t g, pci_t *pci) {
    ENTER(g);
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned)(g - scenario_get()->gpus) + 1;
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    return OK;
}

API int nvmlDeviceGetTotalEnergyConsumption(device_t g, unsigned long long *mj) {
    ENTER(g);
    if (!g->counter_supported || g->mig) return NOT_SUPPORTED;
    *mj = counter_mj(g, scenario_now());
    return OK;
}
API int nvmlDeviceGetPowerUsage(device_t g, unsigned *mw) {
    ENTER(g);
    if (!g->power_supported || g->mig) return NOT_SUPPORTED;
    *mw = average_mw(g, scenario_now());
    return OK;
}
API int nvmlDeviceGetFieldValues(device_t g, int count, field_t *fields) {
    ENTER(g);
    double now = scenario_now();
    for (int i = 0; i < count; i++) {
        field_t *f = &fields[i];
        f->status = OK;
        f->timestamp = (long)(now * 1e6);
        f->type = 1; /* unsigned int */
        if (f->scope == SCOPE_MODULE && f->id == FIELD_POWER_INSTANT && g->module_w >= 0) f->value.ui = (unsigned)((power_at(&g->power, now) + g->module_w) * 1000);
        else if (f->scope != SCOPE_GPU) f->status = NOT_SUPPORTED;
        else if (f->id == FIELD_POWER_INSTANT && g->power_supported && !g->mig) f->value.ui = (unsigned)(power_at(&g->power, now) * 1000);
        else if (f->id == FIELD_POWER_AVERAGE && g->power_supported && !g->mig) f->value.ui = average_mw(g, now);
        else if (f->id == FIELD_ENERGY && g->counter_supported && !g->mig) f->type = 3, f->value.ull = counter_mj(g, now);
        else f->status = NOT_SUPPORTED;
    }
    return OK;
}

API int nvmlDeviceGetTemperature(device_t g, int sensor, unsigned *c) { (void)sensor; ENTER(g); *c = g->temperature_c; return OK; }
API int nvmlDeviceGetClockInfo(device_t g, int type, unsigned *mhz) { ENTER(g); *mhz = type == 2 ? g->memory_clock_mhz : g->gpu_clock_mhz; return OK; }
API int nvmlDeviceGetMaxClockInfo(device_t g, int type, unsigned *mhz) { ENTER(g); *mhz = type == 2 ? g->memory_clock_mhz : g->gpu_clock_mhz; return OK; }
API int nvmlDeviceGetApplicationsClock(device_t g, int type, unsigned *mhz) { ENTER(g); *mhz = type == 2 ? g->memory_clock_mhz : g->gpu_clock_mhz; return OK; }
API int nvmlDeviceGetEnforcedPowerLimit(device_t g, unsigned *mw) { ENTER(g); *mw = (unsigned)(g->limit_w * 1000); return OK; }
API int nvmlDeviceGetPowerManagementLimit(device_t g, unsigned *mw) { ENTER(g); *mw = (unsigned)(g->limit_w * 1000); return OK; }
API int nvmlDeviceGetPowerManagementDefaultLimit(device_t g, unsigned *mw) { ENTER(g); *mw = (unsigned)(g->limit_w * 1000); return OK; }
API int nvmlDeviceGetCurrentClocksEventReasons(device_t g, unsigned long long *bits) {
    ENTER(g);
    *bits = g->throttle && scenario_fault(g->throttle_from_s, g->throttle_to_s) ? g->throttle : 0;
    return OK;
}
API int nvmlDeviceGetCurrentClocksThrottleReasons(device_t g, unsigned long long *bits) { return nvmlDeviceGetCurrentClocksEventReasons(g, bits); }
API int nvmlDeviceGetUtilizationRates(device_t g, unsigned *rates) { ENTER(g); rates[0] = g->utilization; rates[1] = g->memory_utilization; return OK; }
API int nvmlDeviceGetMemoryInfo(device_t g, unsigned long long *m) { /* total, free, used */
    ENTER(g);
    m[0] = g->memory_total_mib << 20;
    m[1] = (g->memory_total_mib - g->memory_used_mib) << 20;
    m[2] = g->memory_used_mib << 20;
    return OK;
}
API int nvmlDeviceGetMemoryInfo_v2(device_t g, unsigned long long *m) { /* version, total, reserved, free, used */
    ENTER(g);
    m[1] = g->memory_total_mib << 20;
    m[2] = 0;
    m[3] = (g->memory_total_mib - g->memory_used_mib) << 20;
    m[4] = g->memory_used_mib << 20;
    return OK;
}
API int nvmlDeviceGetComputeRunningProcesses_v3(device_t g, unsigned *count, process_t *list) {
    ENTER(g);
    unsigned room = *count;
    *count = 0;
    for (unsigned i = 0; i < g->processes; i++) {
        const struct tenant *t = &g->tenants[i];
        if (!scenario_fault(t->from_s, t->to_s)) continue;
        if (list && *count < room) list[*count] = (process_t){t->pid, (unsigned long long)t->mib << 20, ~0u, ~0u};
        ++*count;
    }
    if (*count && (!list || room < *count)) return TOO_SMALL;
    return OK;
}
API int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t g, unsigned *count, process_t *list) { (void)list; ENTER(g); *count = 0; return OK; }
API int nvmlDeviceGetMigMode(device_t g, unsigned *current, unsigned *pending) { ENTER(g); *current = *pending = g->mig; return OK; }
API int nvmlDeviceGetEccMode(device_t g, unsigned *current, unsigned *pending) { ENTER(g); *current = *pending = 1; return OK; }
API int nvmlDeviceGetPersistenceMode(device_t g, unsigned *mode) { ENTER(g); *mode = 1; return OK; }
API int nvmlDeviceGetArchitecture(device_t g, unsigned *architecture) { ENTER(g); *architecture = g->architecture; return OK; }
API int nvmlDeviceGetCudaComputeCapability(device_t g, int *major, int *minor) { ENTER(g); *major = (int)g->architecture; *minor = 0; return OK; }
API int nvmlDeviceGetTemperatureV(device_t g, temperature_t *t) { ENTER(g); t->celsius = (int)g->temperature_c; return OK; }
API int nvmlDeviceGetC2cModeInfoV(device_t g, unsigned *enabled) { ENTER(g); *enabled = 1; return g->module_w >= 0 ? OK : NOT_SUPPORTED; }
API int nvmlDeviceGetComputeMode(device_t g, unsigned *mode) { ENTER(g); *mode = 0; return OK; }
API int nvmlDeviceGetPowerManagementLimitConstraints(device_t g, unsigned *least, unsigned *most) {
    ENTER(g);
    *least = 100000;
    *most = (unsigned)(g->limit_w * 1000);
    return OK;
}
static int one_clock(unsigned mhz, unsigned *count, unsigned *clocks) {
    unsigned room = *count;
    *count = 1;
    if (!clocks || !room) return TOO_SMALL;
    *clocks = mhz;
    return OK;
}
API int nvmlDeviceGetSupportedMemoryClocks(device_t g, unsigned *count, unsigned *clocks) { ENTER(g); return one_clock(g->memory_clock_mhz, count, clocks); }
API int nvmlDeviceGetSupportedGraphicsClocks(device_t g, unsigned memory_mhz, unsigned *count, unsigned *clocks) {
    ENTER(g);
    return memory_mhz == g->memory_clock_mhz ? one_clock(g->gpu_clock_mhz, count, clocks) : NOT_FOUND;
}

/* What changes a card needs an administrator. */
API int nvmlDeviceSetPowerManagementLimit(device_t g, unsigned mw) { (void)mw; ENTER(g); return NO_PERMISSION; }
API int nvmlDeviceSetPersistenceMode(device_t g, unsigned mode) { (void)mode; ENTER(g); return NO_PERMISSION; }
API int nvmlDeviceSetGpuLockedClocks(device_t g, unsigned low, unsigned high) { (void)low; (void)high; ENTER(g); return NO_PERMISSION; }
API int nvmlDeviceSetMemoryLockedClocks(device_t g, unsigned low, unsigned high) { (void)low; (void)high; ENTER(g); return NO_PERMISSION; }
API int nvmlDeviceResetGpuLockedClocks(device_t g) { ENTER(g); return NO_PERMISSION; }
API int nvmlDeviceResetMemoryLockedClocks(device_t g) { ENTER(g); return NO_PERMISSION; }
