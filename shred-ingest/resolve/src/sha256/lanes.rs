//! One message in each lane of a vector: the rounds are those of FIPS 180-4, word by word.

/// Defines `hash`, a [`super::Way`] for up to `$lanes` messages in vectors of type `$vector`.
///
/// Expects beside it, all with the same features: `splat`, `add`, `choose`, `majority`, the functions of FIPS 180-4,
/// 4.1.2 `big_sigma_0`, `big_sigma_1`, `small_sigma_0` and `small_sigma_1`, `words` of a vector, and `load`: four
/// vectors with the words at `4 * quarter` and on, of all lanes' blocks.
///
/// A macro and not a trait: an operation can only be inlined where its features are on, and those of a trait's
/// methods can't be.
macro_rules! hash_in_lanes {
    ($features:literal, $vector:ty, $lanes:literal) => {
        /// Hashes up to as many messages as there are lanes. Lanes to spare repeat the first message.
        #[target_feature(enable = $features)]
        pub(in crate::sha256) fn hash(messages: &[$crate::sha256::Message<'_>]) {
            let lanes: [_; $lanes] =
                ::std::array::from_fn(|lane| messages.get(lane).unwrap_or(&messages[0]));
            let mut shortest = usize::MAX;
            let mut longest = 0;
            for message in messages {
                shortest = shortest.min(message.block_count());
                longest = longest.max(message.block_count());
            }
            let mut state = [splat(0); 8];
            for (vector, word) in state.iter_mut().zip($crate::sha256::INITIAL) {
                *vector = splat(word);
            }
            for index in 0..longest {
                compress(
                    &mut state,
                    &::std::array::from_fn(|lane| lanes[lane].block(index)),
                );
                if index + 1 >= shortest {
                    finish(&state, index + 1, messages);
                }
            }
        }

        /// Gives their states to those messages that end after `count` blocks.
        #[target_feature(enable = $features)]
        #[inline]
        fn finish(state: &[$vector; 8], count: usize, messages: &[$crate::sha256::Message<'_>]) {
            let mut by_word = [[0; $lanes]; 8];
            for (words_of, vector) in by_word.iter_mut().zip(state) {
                *words_of = words(*vector);
            }
            for (lane, message) in messages.iter().enumerate() {
                if message.block_count() == count {
                    message.state.set(by_word.map(|words| words[lane % $lanes]));
                }
            }
        }

        #[target_feature(enable = $features)]
        #[inline]
        fn compress(state: &mut [$vector; 8], blocks: &[&[u8; $crate::sha256::BLOCK]; $lanes]) {
            let mut w = [splat(0); 16];
            for quarter in 0..4 {
                let [w0, w1, w2, w3] = load(blocks, quarter);
                w[4 * quarter] = w0;
                w[4 * quarter + 1] = w1;
                w[4 * quarter + 2] = w2;
                w[4 * quarter + 3] = w3;
            }
            let mut now = *state;
            sixteen_rounds!(now, w, 0);
            for sixteen in 1..4 {
                next_sixteen!(w);
                sixteen_rounds!(now, w, 16 * sixteen);
            }
            for (state, now) in state.iter_mut().zip(now) {
                *state = add(*state, now);
            }
        }
    };
}

/// Sixteen rounds, from `$round` on, over the words `$w`.
macro_rules! sixteen_rounds {
    ($state:ident, $w:ident, $round:expr) => {
        let constants: &[u32; 16] = &$crate::sha256::ROUND.0.as_chunks().0[$round / 16];
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = $state;
        // Instead of moving each word to the next place, the places move: after eight rounds all are home.
        one_round!(a b c d e f g h, $w, constants, 0);
        one_round!(h a b c d e f g, $w, constants, 1);
        one_round!(g h a b c d e f, $w, constants, 2);
        one_round!(f g h a b c d e, $w, constants, 3);
        one_round!(e f g h a b c d, $w, constants, 4);
        one_round!(d e f g h a b c, $w, constants, 5);
        one_round!(c d e f g h a b, $w, constants, 6);
        one_round!(b c d e f g h a, $w, constants, 7);
        one_round!(a b c d e f g h, $w, constants, 8);
        one_round!(h a b c d e f g, $w, constants, 9);
        one_round!(g h a b c d e f, $w, constants, 10);
        one_round!(f g h a b c d e, $w, constants, 11);
        one_round!(e f g h a b c d, $w, constants, 12);
        one_round!(d e f g h a b c, $w, constants, 13);
        one_round!(c d e f g h a b, $w, constants, 14);
        one_round!(b c d e f g h a, $w, constants, 15);
        $state = [a, b, c, d, e, f, g, h];
    };
}

/// One round (FIPS 180-4, 6.2.2, step 3).
macro_rules! one_round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $w:ident, $constants:ident, $at:literal) => {
        let known = add($h, add($w[$at], splat($constants[$at])));
        let first = add(add(known, choose($e, $f, $g)), big_sigma_1($e));
        $d = add($d, first);
        $h = add(add(first, majority($a, $b, $c)), big_sigma_0($a));
    };
}

/// The words of the next 16 rounds in place of those of the last (FIPS 180-4, 6.2.2, step 1).
macro_rules! next_sixteen {
    ($w:ident) => {
        next_word!($w, 0);
        next_word!($w, 1);
        next_word!($w, 2);
        next_word!($w, 3);
        next_word!($w, 4);
        next_word!($w, 5);
        next_word!($w, 6);
        next_word!($w, 7);
        next_word!($w, 8);
        next_word!($w, 9);
        next_word!($w, 10);
        next_word!($w, 11);
        next_word!($w, 12);
        next_word!($w, 13);
        next_word!($w, 14);
        next_word!($w, 15);
    };
}

macro_rules! next_word {
    ($w:ident, $at:literal) => {
        $w[$at] = add(
            add($w[$at], small_sigma_0($w[($at + 1) % 16])),
            add($w[($at + 9) % 16], small_sigma_1($w[($at + 14) % 16])),
        );
    };
}

pub(super) use {hash_in_lanes, next_sixteen, next_word, one_round, sixteen_rounds};
