//! `include/bam.h` is what cbindgen makes of this crate.

use std::path::Path;

#[test]
fn the_header_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = here.join("../../include/bam.h");
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut made = Vec::new();
    cbindgen::Builder::new()
        .with_crate(here)
        .with_config(config)
        .generate()
        .expect("cbindgen understands the crate")
        .write(&mut made);
    let made = String::from_utf8(made).expect("UTF-8");
    if std::env::var_os("BAM_UPDATE_HEADER").is_some() {
        std::fs::write(&header, &made).expect("write the header");
    }
    let kept = std::fs::read_to_string(&header).unwrap_or_default();
    assert!(
        kept == made,
        "include/bam.h is stale: run `BAM_UPDATE_HEADER=1 cargo test -p bam-capi --test header` and commit it"
    );
}
