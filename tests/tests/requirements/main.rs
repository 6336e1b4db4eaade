//! Requirements of which no other suite is the place; which suites show which: the table in `tests/README.md`.

mod call;
mod r04_faults;
mod r05_two_flashes;
mod r07_stall;
mod r08_wear;
mod r11_prefix;
mod r13_order;
mod r19_downgrade;
mod r20_never_stuck;
mod r21_honest;
mod r23_rejected;
mod r26_resent;
mod table;
