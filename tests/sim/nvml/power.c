#include "power.h"

#include <math.h>
#include <stdio.h>

/* Joules from 0 to t of a square wave that starts high. */
static double square_energy(const struct power *p, double t) {
    double whole = floor(t / p->period_s);
    double rest = t - whole * p->period_s;
    double high_s = p->duty * p->period_s;
    double per_period = p->high_w * high_s + p->low_w * (p->period_s - high_s);
    double high = rest < high_s ? rest : high_s;
    return whole * per_period + p->high_w * high + p->low_w * (rest - high);
}

/* Joules from 0 to t of a ramp: low before from_s, high after to_s, linear between. */
static double ramp_energy(const struct power *p, double t) {
    if (t <= p->from_s) return p->low_w * t;
    double slope = (p->high_w - p->low_w) / (p->to_s - p->from_s);
    double inside = (t < p->to_s ? t : p->to_s) - p->from_s;
    double energy = p->low_w * p->from_s + p->low_w * inside + slope * inside * inside / 2;
    return t > p->to_s ? energy + p->high_w * (t - p->to_s) : energy;
}

/* Joules from 0 to t of steps that repeat; the watts at t where asked for. */
static double pattern_energy(const struct power *p, double t, double *watts) {
    double length = 0, once = 0;
    for (unsigned i = 0; i < p->steps; i++) length += p->step_s[i], once += p->step_w[i] * p->step_s[i];
    double whole = floor(t / length), rest = t - whole * length, energy = whole * once;
    for (unsigned i = 0; i < p->steps; i++) {
        if (rest < p->step_s[i] || i + 1 == p->steps) {
            if (watts) *watts = p->step_w[i];
            return energy + p->step_w[i] * rest;
        }
        energy += p->step_w[i] * p->step_s[i];
        rest -= p->step_s[i];
    }
    return energy;
}

/* A trace is read afresh: another process may have appended to it. */
static double trace_scan(const struct power *p, double from, double to, double *at_to) {
    FILE *file = fopen(p->trace, "r");
    double since = 0, watts = p->low_w, energy = 0, t, w;
    while (file && fscanf(file, "%lf %lf", &t, &w) == 2 && t <= to) {
        double a = since > from ? since : from;
        if (t > a) energy += watts * (t - a);
        since = t;
        watts = w;
    }
    if (file) fclose(file);
    double a = since > from ? since : from;
    if (to > a) energy += watts * (to - a);
    *at_to = watts;
    return energy;
}

double power_at(const struct power *p, double t) {
    double watts = 0;
    if (p->kind != POWER_TRACE) t += p->shift_s;
    switch (p->kind) {
    case POWER_SQUARE: return t - floor(t / p->period_s) * p->period_s < p->duty * p->period_s ? p->high_w : p->low_w;
    case POWER_RAMP:
        if (t <= p->from_s) return p->low_w;
        if (t >= p->to_s) return p->high_w;
        return p->low_w + (p->high_w - p->low_w) * (t - p->from_s) / (p->to_s - p->from_s);
    case POWER_PATTERN: pattern_energy(p, t, &watts); return watts;
    case POWER_TRACE: trace_scan(p, t, t, &watts); return watts;
    default: return p->low_w;
    }
}

double power_energy(const struct power *p, double from, double to) {
    double unused;
    if (p->kind != POWER_TRACE) from += p->shift_s, to += p->shift_s;
    switch (p->kind) {
    case POWER_SQUARE: return square_energy(p, to) - square_energy(p, from);
    case POWER_RAMP: return ramp_energy(p, to) - ramp_energy(p, from);
    case POWER_PATTERN: return pattern_energy(p, to, NULL) - pattern_energy(p, from, NULL);
    case POWER_TRACE: return trace_scan(p, from, to, &unused);
    default: return p->low_w * (to - from);
    }
}
