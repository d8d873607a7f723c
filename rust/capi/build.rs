//! Gives the library the name by which programs ask for it: it changes with `bam_abi_version`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libbam.so.1");
}
