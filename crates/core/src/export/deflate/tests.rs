use std::io::Read;

use proptest::prelude::*;

use super::*;

fn begin(at: u32) -> Mark {
    Mark { at, unique: 0 }
}

fn inflated(member: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    flate2::read::GzDecoder::new(member).read_to_end(&mut read).unwrap();
    read
}

fn pseudo_random(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

#[test]
fn nothing_is_a_member_too() {
    assert_eq!(inflated(&Deflater::new().finish()), b"");
}

#[test]
fn members_of_one_deflater_are_independent() {
    let mut deflater = Deflater::new();
    let text = b"the same text in each member, the same text in each member".repeat(40);
    let first = {
        deflater.write(&text, &[begin(0), begin(7)]);
        deflater.finish()
    };
    for _ in 0..3 {
        deflater.write(&text, &[]);
        assert_eq!(inflated(&deflater.finish()), text);
    }
    assert_eq!(inflated(&first), text);
    assert!(first.len() < 400, "{}", first.len());
}

#[test]
fn more_than_any_window_passes() {
    let mut deflater = Deflater::new();
    let noise = pseudo_random(70_000, 7);
    // Repeated at exactly the largest distance, beyond it, and in writes of many sizes.
    let all = [&noise[..], &noise[..32_768], &noise[..32_768], &noise[..50_000], &noise[1..], &[0; 200_000]]
        .concat();
    for chunk in all.chunks(33_333) {
        deflater.write(chunk, &[begin(3), Mark { at: 9_000, unique: 100_000 }, begin(33_000)]);
    }
    let member = deflater.finish();
    assert_eq!(inflated(&member), all);
    for at_once in [all.len(), 1, 700] {
        all.chunks(at_once).for_each(|chunk| deflater.write(chunk, &[]));
        assert_eq!(inflated(&deflater.finish()), all);
    }
}

#[test]
fn bytes_unlike_those_before_grow_little() {
    // Codes of very different lengths: each byte comes half as often as the one before it.
    let steep: Vec<u8> = pseudo_random(400_000, 11)
        .chunks_exact(4)
        .map(|four| four.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)).trailing_ones() as u8)
        .collect();
    for lesson in [b"GET /orders/1 200 ".repeat(6_000), vec![0; 400_000], steep, Vec::new()] {
        for bytes in [300usize, 4_000, 16_384, 65_536, 200_000, 400_000] {
            for write in [16_384, 400_000] {
                let mut deflater = Deflater::new();
                lesson.chunks(1_000).for_each(|chunk| deflater.write(chunk, &[]));
                deflater.finish();
                let noise = pseudo_random(bytes, 3);
                noise.chunks(write).for_each(|chunk| deflater.write(chunk, &[]));
                let member = deflater.finish();
                assert_eq!(inflated(&member), noise);
                // A write passes in pieces of at least two windows.
                let pieces = 1 + bytes.div_ceil(write.min(2 * WINDOW));
                let most = bytes + pieces * 256;
                assert!(member.len() <= most, "{} of {bytes} in writes of {write}", member.len());
            }
        }
    }
}

#[test]
fn what_was_stored_is_found_again() {
    let mut deflater = Deflater::new();
    b"GET /orders/1 200 ".repeat(6_000).chunks(1_000).for_each(|chunk| deflater.write(chunk, &[]));
    deflater.finish();
    let noise = pseudo_random(20_000, 5);
    let text = b"GET /orders/2 200 ".repeat(1_000);
    for part in [&noise, &noise, &text, &noise[..9], &text] {
        deflater.write(part, &[]);
    }
    let member = deflater.finish();
    assert_eq!(inflated(&member), [&noise[..], &noise, &text, &noise[..9], &text].concat());
    assert!(member.len() < 21_500, "{}", member.len());
}

#[test]
fn positions_begin_anew_after_four_gibibytes() {
    let text = b"GET /orders/1 200 and a little more ".repeat(3_000);
    for before in [0, 1, 3, 100, 32_767, 32_768, 98_303, 98_304, 107_999] {
        let mut deflater = Deflater::new();
        deflater.first = u32::MAX - before;
        for _ in 0..3 {
            text.chunks(777).for_each(|chunk| {
                deflater.write(chunk, &[begin(0), begin(5), Mark { at: 7, unique: 3 }, begin(700)])
            });
            assert_eq!(inflated(&deflater.finish()), text, "{before}");
        }
    }
}

proptest! {
    #[test]
    fn everything_is_read_back(
        writes in prop::collection::vec(
            (prop::collection::vec(prop_oneof![4 => "[ab]{0,12}", 1 => "\\PC{0,8}", 1 => "(abcdefgh){0,60}"], 0..30),
            prop::collection::vec((0u32..400, prop_oneof![2 => Just(0u32), 1 => 0u32..90]), 0..20)),
            0..8,
        ),
        members in 1usize..4,
    ) {
        let mut deflater = Deflater::new();
        for _ in 0..members {
            let mut expected = Vec::new();
            for (texts, marks) in &writes {
                let text = texts.concat();
                let mut marks: Vec<Mark> = marks.iter().map(|(at, unique)| Mark { at: *at, unique: *unique }).collect();
                marks.sort_unstable_by_key(|mark| mark.at);
                deflater.write(text.as_bytes(), &marks);
                expected.extend_from_slice(text.as_bytes());
            }
            prop_assert_eq!(inflated(&deflater.finish()), &expected[..]);
        }
    }

    #[test]
    fn any_bytes_are_read_back(bytes in prop::collection::vec(any::<u8>(), 0..3_000), copies in 1usize..20) {
        let mut deflater = Deflater::new();
        (0..copies).for_each(|_| deflater.write(&bytes, &[]));
        prop_assert_eq!(inflated(&deflater.finish()), bytes.repeat(copies));
    }
}
