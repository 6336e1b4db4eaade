//! `device` runs, so it has a vector table and addresses; all others are only linked.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rerun-if-changed=device.x");
    println!("cargo::rustc-link-arg-bin=device=-T{folder}/device.x");
}
