/* Power of one simulated GPU over time, and its exact integral. Times are seconds since the scenario's epoch. */
#ifndef POWER_H
#define POWER_H

enum power_kind { POWER_CONSTANT, POWER_SQUARE, POWER_RAMP, POWER_PATTERN, POWER_TRACE };
#define MAX_STEPS 32

struct power {
    enum power_kind kind;
    double low_w, high_w; /* constant: low_w; ramp: from low_w to high_w */
    double period_s, duty; /* square: the first duty * period_s of each period at high_w */
    double from_s, to_s;   /* ramp */
    double step_w[MAX_STEPS], step_s[MAX_STEPS]; /* pattern: steps that repeat for ever */
    unsigned steps;
    double shift_s;        /* every formula runs ahead by this */
    char trace[512];       /* trace: file of lines "SECONDS WATTS", each holding until the next; may grow */
};

double power_at(const struct power *power, double t);             /* watts */
double power_energy(const struct power *power, double from, double to); /* joules */

#endif
