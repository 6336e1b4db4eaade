//! A TLS 1.3 server that has no certificate, and finishes the handshake as if there was no need for one: what anybody in
//! between can do. The keys are right, as RFC 8446 (4.4, 7.1) has them.

use std::io::{Read, Write};

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::hmac;
use ring::rand::SystemRandom;

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label.
fn expand(secret: &Prk, label: &str, context: &[u8], length: usize) -> Vec<u8> {
    let label = [b"tls13 ", label.as_bytes()].concat();
    let info = [&(length as u16).to_be_bytes()[..], &[label.len() as u8], &label, &[context.len() as u8], context];
    let mut out = vec![0; length];
    secret.expand(&info, Length(length)).unwrap().fill(&mut out).unwrap();
    out
}

fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn message(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &(bytes.len() as u32).to_be_bytes()[1..], bytes].concat()
}

/// Goes through the handshake, or begins it with a record that has nothing in it; returns how many records the client sends
/// after its own part of it.
pub(crate) fn shake_hands(mut conn: impl Read + Write, begins_empty: bool) -> usize {
    let mut next = || -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        conn.read_exact(&mut head).ok()?;
        let mut bytes = vec![0; u16::from_be_bytes([head[3], head[4]]).into()];
        conn.read_exact(&mut bytes).ok()?;
        Some((head[0], bytes))
    };
    let (_, hello) = next().unwrap();
    let session = &hello[38..39 + usize::from(hello[38])];
    // Its only key share: an uncompressed point of P-256.
    let at = hello.windows(4).position(|bytes| bytes == [0, 0x17, 0, 65]).unwrap() + 4;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &hello[at..at + 65]);
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
    let share = ours.compute_public_key().unwrap();

    let extensions = [&[0, 43, 0, 2, 3, 4, 0, 51, 0, 69, 0, 0x17, 0, 65][..], share.as_ref()].concat();
    let answer = [&[3, 3][..], &[7; 32], session, &[0x13, 1, 0], &(extensions.len() as u16).to_be_bytes(), &extensions];
    let answer = message(2, &answer.concat());
    let mut said = [&hello[..], &answer].concat();

    let early = Salt::new(HKDF_SHA256, &[0; 32]).extract(&[0; 32]);
    let derived = expand(&early, "derived", digest(&SHA256, b"").as_ref(), 32);
    let handshake = agree_ephemeral(ours, &theirs, |shared| Salt::new(HKDF_SHA256, &derived).extract(shared)).unwrap();
    let secret = expand(&handshake, "s hs traffic", digest(&SHA256, &said).as_ref(), 32);
    let secret = Prk::new_less_safe(HKDF_SHA256, &secret);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &expand(&secret, "key", b"", 16)).unwrap());
    let iv = expand(&secret, "iv", b"", 12);

    // EncryptedExtensions, without any; and Finished, at once.
    let empty = message(8, &[0, 0]);
    said.extend(&empty);
    let finished = hmac::Key::new(hmac::HMAC_SHA256, &expand(&secret, "finished", b"", 32));
    let finished = message(20, hmac::sign(&finished, digest(&SHA256, &said).as_ref()).as_ref());

    let mut sent = record(22, &answer);
    for (number, text) in [empty, finished].into_iter().enumerate() {
        let mut text = if begins_empty { vec![] } else { [&text[..], &[22]].concat() };
        let mut nonce: [u8; 12] = iv[..].try_into().unwrap();
        nonce[11] ^= number as u8;
        let head = [23, 3, 3, 0, (text.len() + 16) as u8];
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut text).unwrap();
        sent.extend(record(23, &text));
    }
    conn.write_all(&sent).unwrap();

    let next = || -> Option<u8> {
        let mut head = [0; 5];
        conn.read_exact(&mut head).ok()?;
        conn.read_exact(&mut vec![0; u16::from_be_bytes([head[3], head[4]]).into()]).ok()?;
        Some(head[0])
    };
    std::iter::from_fn(next).filter(|kind| *kind == 23).count().saturating_sub(1)
}
