//! Makes datagrams as PROTOCOL.md says that they are made, for whoever has the key.

use std::net::SocketAddr;

use chisme_proto::RecordEdit;
use chisme_sim::{Cluster, Datagram, secs};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use sha2::Sha256;

const HEADER_LEN: usize = 30;
const TAG_LEN: usize = 16;
const SENDER_SECTION: u8 = 1;
const LONGEST: usize = 1_232;

/// The datagrams of one member, as PROTOCOL.md says that they are made.
pub(crate) struct Madman {
    pub(crate) from: SocketAddr,
    session: u64,
    /// Its own section of that type, header included.
    pub(crate) sender: Vec<u8>,
    key_id: [u8; 4],
    mac: Hmac<Sha256>,
    sequence: u64,
    pub(crate) rng: ChaCha8Rng,
}

impl Madman {
    /// Takes over from the process that has sent `datagram`.
    pub(crate) fn after(datagram: &Datagram, seed: u64) -> Self {
        let mut key = [0; 36];
        Hkdf::<Sha256>::new(None, &[0xc0; 32])
            .expand(b"chisme datagram key v1 default", &mut key)
            .expect("36 bytes are within what HKDF can give");
        let sections = sections(datagram);
        let sender = sections.iter().find(|section| section[0] == SENDER_SECTION);
        Self {
            from: datagram.from,
            session: u64::from_be_bytes(datagram.bytes[6..14].try_into().expect("eight bytes")),
            sender: sender.expect("every datagram names its sender").to_vec(),
            key_id: key[32..].try_into().expect("four bytes"),
            mac: Hmac::new_from_slice(&key[..32]).expect("any length will do"),
            sequence: 1_000_000,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Something like `model`, for the process that `model` was for.
    pub(crate) fn forge(&mut self, model: &Datagram) -> Vec<u8> {
        let mut body = self.sender.clone();
        for section in sections(model) {
            if section[0] != SENDER_SECTION {
                body.extend_from_slice(section);
            }
        }
        let kept = if self.rng.random_bool(0.8) { self.sender.len() } else { 0 };
        for _ in 0..self.rng.random_range(0..4) {
            if body.len() > kept {
                let at = self.rng.random_range(kept..body.len());
                body[at] = match self.rng.random_range(0..3) {
                    0 => self.rng.random(),
                    1 => body[at] ^ (1 << self.rng.random_range(0..8)),
                    _ => *[0, 1, 2, 127, 250, 251, 252, 253, 255]
                        .choose(&mut self.rng)
                        .expect("some"),
                };
            }
        }
        if self.rng.random_bool(0.05) {
            body.truncate(self.rng.random_range(0..=body.len()));
        }
        body.truncate(LONGEST - HEADER_LEN - TAG_LEN);
        let kind =
            if self.rng.random_bool(0.9) { model.bytes[1] } else { self.rng.random_range(0..16) };
        self.seal(kind, &model.bytes[14..22], &body)
    }

    pub(crate) fn seal(&mut self, kind: u8, receiver: &[u8], body: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let mut datagram = vec![1, kind];
        datagram.extend_from_slice(&self.key_id);
        datagram.extend_from_slice(&self.session.to_be_bytes());
        datagram.extend_from_slice(receiver);
        datagram.extend_from_slice(&self.sequence.to_be_bytes());
        datagram.extend_from_slice(body);
        let tag = self.mac.clone().chain_update(&datagram).finalize().into_bytes();
        datagram.extend_from_slice(&tag[..TAG_LEN]);
        datagram
    }
}

/// The sections of a datagram, each with its header.
pub(crate) fn sections(datagram: &Datagram) -> Vec<&[u8]> {
    let mut body = &datagram.bytes[HEADER_LEN..datagram.bytes.len() - TAG_LEN];
    let mut sections = Vec::new();
    while body.len() >= 3 {
        let len = 3 + usize::from(u16::from_be_bytes([body[1], body[2]]));
        let (section, rest) = body.split_at(len);
        sections.push(section);
        body = rest;
    }
    sections
}

/// Five nodes and one that has been a member and is about to go mad, with all that they have said.
pub(crate) fn with_madman(seed: u64) -> (Cluster, Madman, Vec<Datagram>) {
    let mut cluster = Cluster::new(seed);
    cluster.record_datagrams();
    for label in ["n0", "n1", "n2", "n3", "n4", "mad"] {
        cluster.start(label);
    }
    cluster.run_for(secs(10));
    cluster.freeze("n3");
    cluster.run_for(secs(5));
    cluster.thaw("n3");
    cluster.ping("n1", "n2");
    // Everything that is said of records: in full, announced, asked for, compared.
    let tags = |value: String| RecordEdit::SetTags([("tag".to_owned(), value)].into());
    cluster.edit_record("n4", tags("x".repeat(4_000)));
    cluster.edit_record("mad", tags("small".to_owned()));
    cluster.run_for(secs(5));
    cluster.partition(&["n1", "n2"]);
    cluster.run_for(secs(15));
    cluster.edit_record("n2", tags("meanwhile".to_owned()));
    cluster.run_for(secs(1));
    cluster.heal();
    cluster.expect_complete_within(secs(30));
    let tape = cluster.recorded().to_vec();
    let address = cluster.address("mad");
    let own = tape.iter().rev().find(|d| d.from == address).expect("it has said something");
    let madman = Madman::after(own, seed);
    (cluster, madman, tape)
}

pub(crate) fn section(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).expect("short").to_be_bytes();
    [&[kind][..], &len, payload].concat()
}
