//! `device` and `speed` run, so they have a vector table and addresses; all others are only linked.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rerun-if-changed=device.x");
    for program in ["device", "speed"] {
        println!("cargo::rustc-link-arg-bin={program}=-T{folder}/device.x");
    }
    if std::env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
}
