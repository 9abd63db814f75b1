/* A simulated libamd_smi.so: the functions that meters call, answered from a scenario (../nvml/scenario.h; card i is HIP's
 * card count-1-i, since AMD SMI's order and HIP's may differ). Structures are laid out as amdsmi 7.0.2 reads them.
 * All other symbols that the bindings look up are stubs (see __init__.py).
 */
#include "scenario.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define API __attribute__((visibility("default")))
enum { OK = 0, INVALID = 1, NOT_SUPPORTED = 2, IO = 12, NOT_INIT = 32, DRIVER_NOT_LOADED = 34 };
#define RESOLUTION_UJ 15.3f
#define NONE 0xFFFF

typedef const struct gpu *device_t;
typedef struct { uint64_t socket_power; uint32_t current_w, average_w; uint64_t gfx_mv, soc_mv, mem_mv; uint32_t limit_w, pad; uint64_t reserved[18]; } power_t;
typedef struct { char market_name[256]; uint32_t vendor_id; char vendor_name[256]; uint32_t subvendor_id; uint64_t device_id; uint32_t rev_id; char serial[256]; uint32_t oam_id, compute_units, pad; uint64_t graphics_version; uint32_t subsystem_id, reserved[21]; } __attribute__((packed)) asic_t;
typedef struct { uint32_t drm_render, drm_card, hsa_id, hip_id; char hip_uuid[256]; } enumeration_t;
typedef struct { uint32_t total_mb, used_mb, reserved[2]; } vram_t;
typedef struct { uint32_t gfx, umc, mm, reserved[13]; } activity_t;
typedef struct { uint64_t cap_uw, default_uw, dpm, min_uw, max_uw, reserved[3]; } cap_t;
typedef struct { uint32_t mhz, min, max; uint8_t locked, deep_sleep, pad[2]; uint32_t reserved[4]; } clock_mhz_t;
typedef struct { char name[256]; uint32_t pid, pad; uint64_t mem, gfx, enc; uint32_t reserved_engines[12]; uint64_t gtt, cpu, vram; uint32_t reserved_memory[10]; char container[256]; uint32_t cu_occupancy, reserved[11]; } process_t;
typedef struct { char version[256], date[256], name[256]; } driver_t;

static int initialized;

static int enter(device_t g, const char *function) {
    if (!initialized) return NOT_INIT;
    if (!g) return INVALID;
    double now = scenario_now();
    if (g->lost_at >= 0 && now >= g->lost_at) return IO;
    for (unsigned i = 0; i < g->error_count; i++)
        if (!strcmp(g->errors[i].function, function)) return g->errors[i].number;
    return OK;
}
#define ENTER(g) do { int status_ = enter(g, __func__); if (status_) return status_; } while (0)

static unsigned place(device_t g) { return (unsigned)(g - scenario_get()->gpus); }

API int amdsmi_init(uint64_t flags) {
    (void)flags;
    const struct scenario *s = scenario_get();
    if (!s) return DRIVER_NOT_LOADED;
    if (s->init_error) return s->init_error;
    initialized = 1;
    return OK;
}
API int amdsmi_shut_down(void) { return OK; }

API int amdsmi_get_socket_handles(uint32_t *count, void **sockets) { /* a card in each */
    if (!initialized) return NOT_INIT;
    *count = scenario_get()->count;
    for (unsigned i = 0; sockets && i < *count; i++) sockets[i] = (void *)&scenario_get()->gpus[i];
    return OK;
}
API int amdsmi_get_processor_handles(void *socket, uint32_t *count, void **handles) {
    *count = 1;
    if (handles) handles[0] = socket;
    return OK;
}
API int amdsmi_get_gpu_device_uuid(device_t g, unsigned *length, char *text) {
    ENTER(g);
    *length = (unsigned)snprintf(text, 38, "%sff74a5-0000-1000-8000-000000000000", g->uuid + 4);
    return OK;
}
API int amdsmi_get_gpu_enumeration_info(device_t g, enumeration_t *found) {
    ENTER(g);
    memset(found, 0, sizeof *found);
    found->hip_id = scenario_get()->count - 1 - place(g);
    snprintf(found->hip_uuid, sizeof found->hip_uuid, "%s", g->uuid);
    return OK;
}
API int amdsmi_get_gpu_asic_info(device_t g, asic_t *found) {
    ENTER(g);
    memset(found, 0, sizeof *found);
    snprintf(found->market_name, sizeof found->market_name, "%s", g->name);
    snprintf(found->vendor_name, sizeof found->vendor_name, "Advanced Micro Devices Inc. [AMD/ATI]");
    found->vendor_id = 0x1002;
    found->graphics_version = 0x942;
    return OK;
}

API int amdsmi_get_energy_count(device_t g, uint64_t *count, float *resolution_uj, uint64_t *timestamp_ns) {
    ENTER(g);
    double now = scenario_now();
    double tick = floor((now - g->counter_phase_s) / g->counter_period_s) * g->counter_period_s + g->counter_phase_s;
    if (tick < 0) tick = 0;
    double from = g->counter_reset_at >= 0 && tick >= g->counter_reset_at ? g->counter_reset_at : 0;
    double joules = power_energy(&g->power, from, tick) + (from > 0 ? 0 : 1000);
    *count = g->counter_supported ? (uint64_t)(joules * 1e6 / RESOLUTION_UJ) : 0;
    *resolution_uj = RESOLUTION_UJ;
    *timestamp_ns = (uint64_t)(tick * 1e9);
    return OK;
}
API int amdsmi_get_power_info(device_t g, power_t *found) { /* instant on MI300 and later, averaged before */
    ENTER(g);
    memset(found, 0, sizeof *found);
    double now = scenario_now(), to = now - g->average_lag_s, from = fmax(to - g->average_window_s, 0);
    double average_w = to > from ? power_energy(&g->power, from, to) / (to - from) : power_at(&g->power, now);
    found->current_w = found->average_w = NONE;
    if (!g->power_supported) return OK;
    if (!strncmp(g->name, "AMD Instinct MI3", 16)) found->current_w = (uint32_t)lround(power_at(&g->power, now));
    else found->average_w = (uint32_t)lround(average_w);
    found->limit_w = (uint32_t)g->limit_w;
    return OK;
}

API int amdsmi_get_temp_metric(device_t g, unsigned sensor, unsigned metric, int64_t *celsius) { (void)sensor; (void)metric; ENTER(g); *celsius = g->temperature_c; return OK; }
API int amdsmi_get_clock_info(device_t g, unsigned type, clock_mhz_t *found) {
    ENTER(g);
    memset(found, 0, sizeof *found);
    found->mhz = type == 0 ? g->gpu_clock_mhz : g->memory_clock_mhz; /* 0: graphics, 4: memory */
    return OK;
}
API int amdsmi_get_gpu_vram_usage(device_t g, vram_t *found) { ENTER(g); found->total_mb = (uint32_t)g->memory_total_mib; found->used_mb = (uint32_t)g->memory_used_mib; return OK; }
API int amdsmi_get_gpu_process_list(device_t g, uint32_t *count, process_t *list) {
    ENTER(g);
    uint32_t room = *count;
    *count = 0;
    for (unsigned i = 0; i < g->processes; i++) {
        const struct tenant *t = &g->tenants[i];
        if (!scenario_fault(t->from_s, t->to_s) || *count >= room) continue;
        memset(&list[*count], 0, sizeof *list);
        list[*count].pid = t->pid;
        list[*count].mem = list[*count].vram = (uint64_t)t->mib << 20;
        ++*count;
    }
    return OK;
}
API int amdsmi_get_gpu_activity(device_t g, activity_t *found) { ENTER(g); memset(found, 0, sizeof *found); found->gfx = 50; return OK; }
API int amdsmi_get_power_cap_info(device_t g, uint32_t sensor, cap_t *found) {
    (void)sensor;
    ENTER(g);
    memset(found, 0, sizeof *found);
    found->cap_uw = found->default_uw = found->max_uw = (uint64_t)(g->limit_w * 1e6);
    return OK;
}
API int amdsmi_get_gpu_driver_info(device_t g, driver_t *found) {
    ENTER(g);
    memset(found, 0, sizeof *found);
    snprintf(found->version, sizeof found->version, "%s", scenario_get()->driver);
    return OK;
}
