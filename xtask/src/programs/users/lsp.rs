//! A language client.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::{ANSWER_WITHIN, User};
use crate::programs::watched::Pipes;

/// The document that it opens.
const URI: &str = "file:///justfile";
const TEXT: &str =
    "greeting := 'hello'\n\ndefault:\n  echo {{ greeting }}\n\nall: default\n  echo all\n";

/// The server's standard streams.
pub struct Client {
    pipes: Pipes,
    id: u64,
}

impl Client {
    pub fn new(pipes: Pipes) -> Client {
        Client { pipes, id: 0 }
    }

    fn send(&mut self, mut message: Value) -> anyhow::Result<()> {
        message["jsonrpc"] = json!("2.0");
        let text = message.to_string();
        self.pipes.write(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes())
    }

    fn request(&mut self, method: &str, params: Value) -> anyhow::Result<String> {
        self.id += 1;
        let from = self.pipes.printed().len();
        self.send(json!({"id": self.id, "method": method, "params": params}))?;
        let until = Instant::now() + ANSWER_WITHIN;
        while Instant::now() < until {
            let said = self.pipes.printed().split_off(from);
            if let Some(answer) = messages(&said).find(|m| m["id"] == json!(self.id)) {
                return Ok(answer.to_string());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("no answer to {method}")
    }
}

/// All messages that are there as a whole.
fn messages(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.split("Content-Length: ").filter_map(|part| {
        let (length, rest) = part.split_once("\r\n\r\n")?;
        let length: usize = length.lines().next()?.trim().parse().ok()?;
        serde_json::from_str(rest.get(..length)?).ok()
    })
}

impl User for Client {
    fn ask(&mut self, what: &str) -> anyhow::Result<String> {
        let words: Vec<&str> = what.split_whitespace().collect();
        match words[..] {
            ["open"] => {
                let answer = self.request("initialize", json!({"capabilities": {}}))?;
                ensure!(answer.contains("hoverProvider"), "no server that hovers: {answer}");
                self.send(json!({"method": "initialized", "params": {}}))?;
                let document =
                    json!({"uri": URI, "languageId": "just", "version": 1, "text": TEXT});
                let params = json!({"textDocument": document});
                self.send(json!({"method": "textDocument/didOpen", "params": params}))?;
                Ok(answer)
            }
            ["hover", line, column] => {
                let (line, column): (u32, u32) = (line.parse()?, column.parse()?);
                let position = json!({"line": line, "character": column});
                let params = json!({"textDocument": {"uri": URI}, "position": position});
                self.request("textDocument/hover", params)
            }
            [method] => self.request(method, json!({})),
            _ => bail!("`{what}` is nothing that a client does"),
        }
    }

    fn words(&self, what: &str) -> String {
        match what.strip_prefix("hover ") {
            Some(place) => format!("textDocument/hover at {place} answers"),
            None => format!("{what} answers"),
        }
    }
}
