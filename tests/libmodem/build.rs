//! Where things are, and that `libmodem::start` stands before the start of the modem.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rerun-if-env-changed=WITHOUT_WRAP");
    if std::env::var_os("WITHOUT_WRAP").is_none() {
        println!("cargo::rustc-link-arg-bins=--wrap=nrf_modem_init");
    }
}
