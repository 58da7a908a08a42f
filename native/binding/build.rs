//! Lets the addon's symbols resolve from the node executable.

fn main() {
    napi_build::setup();
}
