// SPDX-License-Identifier: MIT
//! Says where Rust lays every field of the ABI, and which value every constant has.
fn main() {
    for (name, number, size) in lemonade_plugin::abi::layout() {
        println!("{} {} {}", name.replace("r#", ""), number, size);
    }
}
