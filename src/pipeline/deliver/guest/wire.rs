//! The messages of the clients of other tools.

use subsecond_types::JumpTable;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::Protocol;

/// The path that `dioxus-devtools` dials.
pub const DEVTOOLS_PATH: &str = "/_dioxus";

/// What a guest says of itself when it dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where its `main` is; 0 where it does not find it.
    pub anchor: u64,
    /// Its process, where it says so.
    pub pid: Option<u32>,
    /// A number that has to be in every message to it.
    build: u64,
}

impl Hello {
    /// From the query of the address that `dioxus-devtools` dials.
    ///
    /// # Errors
    /// A text where a number is missing.
    pub fn of_devtools(query: &str) -> Result<Hello, String> {
        let number = |name: &str| {
            let values = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut values = values.filter(|(key, _)| *key == name);
            values.next().and_then(|(_, value)| value.parse::<u64>().ok())
        };
        let needed = |name: &str| number(name).ok_or(format!("its address says no `{name}`"));
        Ok(Hello {
            protocol: Protocol::Devtools,
            anchor: needed("aslr_reference")?,
            pid: Some(u32::try_from(needed("pid")?).map_err(|e| e.to_string())?),
            build: number("build_id").unwrap_or(0),
        })
    }

    /// From what cargo-hot's client sends first.
    pub fn of_cargo_hot(bytes: [u8; 8]) -> Hello {
        let anchor = u64::from_be_bytes(bytes);
        Hello { protocol: Protocol::CargoHot, anchor, pid: None, build: 0 }
    }

    /// The bytes that bring a table to process `pid`.
    ///
    /// # Errors
    /// Where the message cannot be written.
    pub fn message(&self, table: &JumpTable, pid: u32) -> Result<Vec<u8>, String> {
        match self.protocol {
            Protocol::CargoHot => cargo_hot(table),
            _ => devtools(table, self.build, pid),
        }
    }
}

fn devtools(table: &JumpTable, build: u64, pid: u32) -> Result<Vec<u8>, String> {
    let message = serde_json::json!({ "HotReload": {
        "templates": [],
        "assets": [],
        "ms_elapsed": 0,
        "jump_table": table,
        "for_build_id": build,
        "for_pid": pid,
    }});
    let text = message.to_string();
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    let mut wire = Vec::with_capacity(text.len() + 10);
    header.format(text.len() as u64, &mut wire).map_err(|e| e.to_string())?;
    wire.extend_from_slice(text.as_bytes());
    Ok(wire)
}

/// The length, and the table as bincode 2 writes it in its standard configuration: numbers with
/// as many bytes as they need, texts and maps with their lengths in front.
fn cargo_hot(table: &JumpTable) -> Result<Vec<u8>, String> {
    let lib = table.lib.to_str().ok_or("the library's path is not UTF-8")?;
    let mut body = Vec::new();
    number(&mut body, lib.len() as u64);
    body.extend_from_slice(lib.as_bytes());
    number(&mut body, table.map.len() as u64);
    for (old, new) in &table.map {
        number(&mut body, *old);
        number(&mut body, *new);
    }
    for field in [table.aslr_reference, table.new_base_address, table.ifunc_count] {
        number(&mut body, field);
    }
    let mut wire = (body.len() as u64).to_be_bytes().to_vec();
    wire.append(&mut body);
    Ok(wire)
}

fn number(out: &mut Vec<u8>, value: u64) {
    match value {
        0..=250 => out.push(value as u8),
        251..=0xffff => {
            out.push(251);
            out.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(252);
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            out.push(253);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// The lines for the developer in what `dioxus-devtools` says, each with its level.
pub fn log_lines(text: &str) -> Vec<(String, String)> {
    let Ok(message) = serde_json::from_str::<serde_json::Value>(text) else { return Vec::new() };
    let level = message["Log"]["level"].as_str().unwrap_or("info").to_lowercase();
    let lines = message["Log"]["messages"].as_array().into_iter().flatten();
    lines.filter_map(|line| Some((level.clone(), line.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> JumpTable {
        JumpTable {
            lib: "/l.so".into(),
            map: std::iter::once((0x1_2345, 300)).collect(),
            aslr_reference: 7,
            new_base_address: 0x1_0000_0000,
            ifunc_count: 0,
        }
    }

    #[test]
    fn an_address_says_who_dials() {
        let hello = Hello::of_devtools("aslr_reference=94&build_id=3&pid=7").unwrap();
        assert_eq!((hello.anchor, hello.pid, hello.build), (94, Some(7), 3));
        assert!(Hello::of_devtools("aslr_reference=94&build_id=3").unwrap_err().contains("pid"));
        assert!(Hello::of_devtools("").is_err());
    }

    #[test]
    fn devtools_get_json_with_addresses_as_texts() {
        let hello = Hello::of_devtools("aslr_reference=9&build_id=3&pid=7").unwrap();
        let wire = hello.message(&table(), 7).unwrap();
        let text = std::str::from_utf8(&wire[wire.iter().position(|b| *b == b'{').unwrap()..]);
        let json: serde_json::Value = serde_json::from_str(text.unwrap()).unwrap();
        let message = &json["HotReload"];
        assert_eq!(message["jump_table"]["map"], serde_json::json!({ "74565": 300 }));
        assert_eq!((&message["for_pid"], &message["for_build_id"]), (&7.into(), &3.into()));
        assert!(message["templates"].is_array() && message["assets"].is_array());
    }

    #[test]
    fn cargo_hot_gets_a_length_and_short_numbers() {
        let wire = Hello::of_cargo_hot(9_u64.to_be_bytes()).message(&table(), 7).unwrap();
        let mut expected = 26_u64.to_be_bytes().to_vec();
        expected.extend_from_slice(b"\x05/l.so\x01\xfc\x45\x23\x01\x00\xfb\x2c\x01");
        expected.extend_from_slice(b"\x07\xfd\x00\x00\x00\x00\x01\x00\x00\x00\x00");
        assert_eq!(wire, expected);
    }

    #[test]
    fn lines_for_the_developer_are_taken_out() {
        let text = r#"{"Log":{"level":"WARN","messages":["a","b"]}}"#;
        let line = |text: &str| ("warn".to_owned(), text.to_owned());
        assert_eq!(log_lines(text), [line("a"), line("b")]);
        assert!(log_lines("[]").is_empty() && log_lines("x").is_empty());
    }
}
