//! Requirements of which no other suite is the place, each test named after its own: R4, R5, R7, R8, R20.

mod r04_faults;
mod r05_two_flashes;
mod r07_stall;
mod r08_wear;
mod r20_never_stuck;
