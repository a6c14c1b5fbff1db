//! Links without unwind tables in the release profile (decision 69).

fn main() {
    println!("cargo::rerun-if-changed=discard-unwind-tables.ld");
    let var = |name| std::env::var(name).unwrap_or_default();
    // With the dev profile, panics unwind.
    if var("PROFILE") == "release" && var("CARGO_CFG_TARGET_OS") == "linux" {
        let script = format!("{}/discard-unwind-tables.ld", var("CARGO_MANIFEST_DIR"));
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{script}");
    }
}
