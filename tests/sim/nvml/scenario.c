#include "scenario.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct scenario loaded;
static int state; /* 0 not read, 1 read, -1 unreadable */

static void parse_pattern(struct power *p, const char *text) {
    int used;
    p->kind = POWER_PATTERN;
    while (p->steps < MAX_STEPS && sscanf(text, "%lf %lf%n", &p->step_w[p->steps], &p->step_s[p->steps], &used) == 2)
        text += used, p->steps++;
}

static void parse_power(struct power *p, const char *text) {
    if (sscanf(text, "constant %lf", &p->low_w) == 1) p->kind = POWER_CONSTANT;
    else if (sscanf(text, "square %lf %lf %lf %lf", &p->low_w, &p->high_w, &p->period_s, &p->duty) == 4) p->kind = POWER_SQUARE;
    else if (sscanf(text, "ramp %lf %lf %lf %lf", &p->low_w, &p->high_w, &p->from_s, &p->to_s) == 4) p->kind = POWER_RAMP;
    else if (sscanf(text, "trace %lf %511[^\n]", &p->low_w, p->trace) == 2) p->kind = POWER_TRACE;
    else if (!strncmp(text, "pattern ", 8)) parse_pattern(p, text + 8);
    else fprintf(stderr, "nvml simulator: unknown power: %s\n", text), abort();
}

static void add_rule(struct rule *rules, unsigned *count, const char *text) {
    if (*count == MAX_RULES) return;
    struct rule *rule = &rules[*count];
    rule->from_s = -INFINITY;
    rule->to_s = INFINITY;
    if (sscanf(text, "%63s %d %lf %lf", rule->function, &rule->number, &rule->from_s, &rule->to_s) >= 2) ++*count;
}

static int parse_gpu(struct gpu *g, const char *key, const char *rest) {
    if (!strcmp(key, "power")) parse_power(&g->power, rest);
    else if (!strcmp(key, "shift")) g->power.shift_s = atof(rest);
    else if (!strcmp(key, "architecture")) g->architecture = atoi(rest);
    else if (!strcmp(key, "utilization")) sscanf(rest, "%u %u", &g->utilization, &g->memory_utilization);
    else if (!strcmp(key, "power_unsupported")) g->power_supported = 0;
    else if (!strcmp(key, "counter") && !strncmp(rest, "none", 4)) g->counter_supported = 0;
    else if (!strcmp(key, "counter")) sscanf(rest, "%lf %lf %lf", &g->counter_period_s, &g->counter_phase_s, &g->counter_quantum_mj);
    else if (!strcmp(key, "counter_reset_at")) g->counter_reset_at = atof(rest);
    else if (!strcmp(key, "lost_at")) g->lost_at = atof(rest);
    else if (!strcmp(key, "average")) sscanf(rest, "%lf %lf", &g->average_window_s, &g->average_lag_s);
    else if (!strcmp(key, "module")) g->module_w = atof(rest);
    else if (!strcmp(key, "limit")) g->limit_w = atof(rest);
    else if (!strcmp(key, "temperature")) g->temperature_c = atoi(rest);
    else if (!strcmp(key, "gpu_clock")) g->gpu_clock_mhz = atoi(rest);
    else if (!strcmp(key, "memory_clock")) g->memory_clock_mhz = atoi(rest);
    else if (!strcmp(key, "throttle")) sscanf(rest, "%llx %lf %lf", &g->throttle, &g->throttle_from_s, &g->throttle_to_s);
    else if (!strcmp(key, "memory")) sscanf(rest, "%llu %llu", &g->memory_total_mib, &g->memory_used_mib);
    else if (!strcmp(key, "process") && g->processes < MAX_RULES) {
        struct tenant *t = &g->tenants[g->processes++];
        t->from_s = -INFINITY;
        t->to_s = INFINITY;
        sscanf(rest, "%u %u %lf %lf", &t->pid, &t->mib, &t->from_s, &t->to_s);
    }
    else if (!strcmp(key, "mig")) g->mig = 1;
    else if (!strcmp(key, "error")) add_rule(g->errors, &g->error_count, rest);
    else if (!strcmp(key, "slow")) add_rule(g->delays, &g->delay_count, rest);
    else return 0;
    return 1;
}

static struct gpu *add_gpu(const char *rest) {
    if (loaded.count == MAX_GPUS) abort();
    struct gpu *g = &loaded.gpus[loaded.count++];
    sscanf(rest, "%95s %95[^\n]", g->uuid, g->name);
    g->counter_period_s = 0.1;
    g->counter_quantum_mj = 1;
    g->counter_reset_at = g->lost_at = g->module_w = -1;
    g->counter_supported = g->power_supported = 1;
    g->average_window_s = 1;
    g->limit_w = 700;
    g->temperature_c = 40;
    g->gpu_clock_mhz = 1980;
    g->memory_clock_mhz = 2619;
    g->memory_total_mib = 81920;
    g->architecture = 9;
    g->utilization = g->memory_utilization = 50;
    return g;
}

static int read_file(const char *path) {
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return -1;
    char line[2048], key[64];
    struct gpu *g = NULL;
    while (fgets(line, sizeof line, file)) {
        int used = 0;
        line[strcspn(line, "#\n")] = 0;
        if (sscanf(line, "%63s %n", key, &used) != 1) continue;
        const char *rest = line + used;
        if (!strcmp(key, "gpu")) g = add_gpu(rest);
        else if (!strcmp(key, "epoch")) loaded.epoch_ns = atoll(rest);
        else if (!strcmp(key, "clock")) snprintf(loaded.clock, sizeof loaded.clock, "%s", rest);
        else if (!strcmp(key, "faults")) snprintf(loaded.faults, sizeof loaded.faults, "%s", rest);
        else if (!strcmp(key, "driver")) snprintf(loaded.driver, sizeof loaded.driver, "%s", rest);
        else if (!strcmp(key, "cuda")) loaded.cuda = atoi(rest);
        else if (!strcmp(key, "init_error")) loaded.init_error = atoi(rest);
        else if (!g || !parse_gpu(g, key, rest)) fprintf(stderr, "nvml simulator: unknown setting: %s\n", line), abort();
    }
    fclose(file);
    return 1;
}

int scenario_load(const char *path) {
    memset(&loaded, 0, sizeof loaded);
    snprintf(loaded.driver, sizeof loaded.driver, "550.54.15");
    loaded.cuda = 12040;
    state = read_file(path);
    return state > 0;
}

const struct scenario *scenario_get(void) {
    if (!state) scenario_load(getenv("NVML_SIM"));
    return state > 0 ? &loaded : NULL;
}

double scenario_now(void) {
    long long ns = 0;
    if (loaded.clock[0]) {
        int file = open(loaded.clock, O_RDONLY);
        if (file < 0 || read(file, &ns, sizeof ns) != sizeof ns) abort();
        close(file);
    } else {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    }
    return (ns - loaded.epoch_ns) / 1e9;
}

double scenario_faults_from(void) {
    if (!loaded.faults[0]) return 0;
    FILE *file = fopen(loaded.faults, "r");
    long long ns = 0;
    int found = file && fscanf(file, "%lld", &ns) == 1;
    if (file) fclose(file);
    return found ? (ns - loaded.epoch_ns) / 1e9 : INFINITY;
}

int scenario_fault(double from_s, double to_s) {
    double since = scenario_faults_from();
    if (isinf(since)) return 0;
    double t = scenario_now() - since;
    return t >= from_s && t < to_s;
}
