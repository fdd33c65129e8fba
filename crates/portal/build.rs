//! Copies the npm parts of the pages into the binary: writes `vendor.rs`, a list of embedded files.
//!
//! Without `web/node_modules` nothing is embedded and the build says so; every page still works, since script only
//! adds comfort.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

const FILES: &[(&str, &str)] = &[
    ("echarts.min.js", "echarts/dist/echarts.min.js"),
    // Bundled from `web/editor.mjs` by `npm run build`, which `cargo xtask setup` runs.
    ("editor.min.js", "qiantang-editor/editor.min.js"),
    ("htmx.min.js", "htmx.org/dist/htmx.min.js"),
    ("maplibre-gl-csp.js", "maplibre-gl/dist/maplibre-gl-csp.js"),
    ("maplibre-gl-csp-worker.js", "maplibre-gl/dist/maplibre-gl-csp-worker.js"),
    ("maplibre-gl.css", "maplibre-gl/dist/maplibre-gl.css"),
    // Prints the papers of restricted opening; not used by pages.
    ("noto-sans-sc.ttf", "@expo-google-fonts/noto-sans-sc/400Regular/NotoSansSC_400Regular.ttf"),
];

fn main() -> io::Result<()> {
    // A build script may read the environment cargo gives it.
    let missing = || io::Error::other("cargo sets CARGO_MANIFEST_DIR and OUT_DIR");
    let root = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(missing)?;
    let out = env::var_os("OUT_DIR").ok_or_else(missing)?;
    let modules = Path::new(&root).join("web/node_modules");
    let mut list = String::from("pub(super) const FILES: &[(&str, &[u8])] = &[\n");
    let mut lost = Vec::new();
    for (name, from) in FILES {
        let path = modules.join(from);
        println!("cargo:rerun-if-changed={}", path.display());
        if path.is_file() {
            let _ =
                writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
        } else {
            lost.push(*name);
        }
    }
    list.push_str("];\n");
    if !lost.is_empty() {
        println!(
            "cargo:warning=portal: {} not embedded (run `cargo xtask setup` to fetch the npm parts); pages work without script",
            lost.join(", ")
        );
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=assets");
    println!("cargo:rerun-if-changed=templates");
    fs::write(Path::new(&out).join("vendor.rs"), list)
}
