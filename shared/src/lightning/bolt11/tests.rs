//! The specification's own examples (BOLT 11, "Examples" and "Examples of Invalid Invoices"), and invoices made here.

mod made;

use proptest::prelude::*;
use time::macros::datetime;

use super::*;

/// Who signed the specification's examples, when, and for what payment.
const PAYEE: &str = "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad";
const CREATED: OffsetDateTime = datetime!(2017-06-01 10:57:38 UTC);
const PAYMENT_HASH: &str = "0001020304050607080900010203040506070809000102030405060708090102";

const DONATION: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
const COFFEE_IN_JAPANESE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpquwpc4curk03c9wlrswe78q4eyqc7d8d0xqzpu9qrsgqhtjpauu9ur7fw2thcl4y9vfvh4m9wlfyz2gem29g5ghe2aak2pm3ps8fdhtceqsaagty2vph7utlgj48u0ged6a337aewvraedendscp573dxr";
const HASHED: &str = "lnbc20m1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqs9qrsgq7ea976txfraylvgzuxs8kgcw23ezlrszfnh8r6qtfpr6cxga50aj6txm9rxrydzd06dfeawfk6swupvz4erwnyutnjq7x39ymw6j38gp7ynn44";
const TESTNET: &str = "lntb20m1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygshp58yjmdan79s6qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqfpp3x9et2e20v6pu37c5d9vax37wxq72un989qrsgqdj545axuxtnfemtpwkc45hx9d2ft7x04mt8q7y6t0k2dge9e7h8kpy9p34ytyslj3yu569aalz2xdk8xkd7ltxqld94u8h2esmsmacgpghe9k8";
const PICO: &str = "lnbc9678785340p1pwmna7lpp5gc3xfm08u9qy06djf8dfflhugl6p7lgza6dsjxq454gxhj9t7a0sd8dgfkx7cmtwd68yetpd5s9xar0wfjn5gpc8qhrsdfq24f5ggrxdaezqsnvda3kkum5wfjkzmfqf3jkgem9wgsyuctwdus9xgrcyqcjcgpzgfskx6eqf9hzqnteypzxz7fzypfhg6trddjhygrcyqezcgpzfysywmm5ypxxjemgw3hxjmn8yptk7untd9hxwg3q2d6xjcmtv4ezq7pqxgsxzmnyyqcjqmt0wfjjq6t5v4khxsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygsxqyjw5qcqp2rzjq0gxwkzc8w6323m55m4jyxcjwmy7stt9hwkwe2qxmy8zpsgg7jcuwz87fcqqeuqqqyqqqqlgqqqqn3qq9q9qrsgqrvgkpnmps664wgkp43l22qsgdw4ve24aca4nymnxddlnp8vh9v2sdxlu5ywdxefsfvm0fq3sesf08uf6q9a2ke0hc9j6z6wlxg5z5kqpu2v9wz";
const WITH_FEATURES: &str = "lnbc25m1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5vdhkven9v5sxyetpdeessp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygs9q5sqqqqqqqqqqqqqqqqsgq2a25dxl5hrntdtn6zvydt7d66hyzsyhqs4wdynavys42xgl6sgx9c4g7me86a27t07mdtfry458rtjr0v92cnmswpsjscgt2vcse3sgpz3uapa";
const NAMED_PAYEE: &str = "lnbc10m1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdp9wpshjmt9de6zqmt9w3skgct5vysxjmnnd9jx2mq8q8a04uqnp4q0n326hr8v9zprg8gsvezcch06gfaqqhde2aj730yg0durunfhv66sp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygs9q2gqqqqqqsgqy9gw6ymamd20jumvdgpfphkhp8fzhhdhycw36egcmla5vlrtrmhs9t7psfy3hkkdqzm9eq64fjg558znccds5nhsfmxveha5xe0dykgpspdha0";

const UNKNOWN_FEATURE: &str = "lnbc25m1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5vdhkven9v5sxyetpdeessp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygs9q4psqqqqqqqqqqqqqqqqsgqtqyx5vggfcsll4wu246hz02kp85x4katwsk9639we5n5yngc3yhqkm35jnjw4len8vrnqnf5ejh0mzj9n3vz2px97evektfm2l6wqccp3y7372";
const WRONG_CHECKSUM: &str = "lnbc2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpquwpc4curk03c9wlrswe78q4eyqc7d8d0xqzpuyk0sg5g70me25alkluzd2x62aysf2pyy8edtjeevuv4p2d5p76r4zkmneet7uvyakky2zr4cusd45tftc9c5fh0nnqpnl2jfll544esqchsrnt";
const WITHOUT_SEPARATOR: &str = "pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpquwpc4curk03c9wlrswe78q4eyqc7d8d0xqzpuyk0sg5g70me25alkluzd2x62aysf2pyy8edtjeevuv4p2d5p76r4zkmneet7uvyakky2zr4cusd45tftc9c5fh0nnqpnl2jfll544esqchsrny";
const MIXED_CASE: &str = "LNBC2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpquwpc4curk03c9wlrswe78q4eyqc7d8d0xqzpuyk0sg5g70me25alkluzd2x62aysf2pyy8edtjeevuv4p2d5p76r4zkmneet7uvyakky2zr4cusd45tftc9c5fh0nnqpnl2jfll544esqchsrny";
const UNRECOVERABLE: &str = "lnbc2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpusp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygs9qrsgqwgt7mcn5yqw3yx0w94pswkpq6j9uh6xfqqqtsk4tnarugeektd4hg5975x9am52rz4qskukxdmjemg92vvqz8nvmsye63r5ykel43pgz7zq0g2";
const TOO_SHORT: &str = "lnbc1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6na6hlh";
const UNKNOWN_MULTIPLIER: &str = "lnbc2500x1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpusp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygs9qrsgqrrzc4cvfue4zp3hggxp47ag7xnrlr8vgcmkjxk3j5jqethnumgkpqp23z9jclu3v0a7e0aruz366e9wqdykw6dxhdzcjjhldxq0w6wgqcnu43j";
const BELOW_A_MILLISATOSHI: &str = "lnbc2500000001p1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpusp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygs9qrsgq0lzc236j96a95uv0m3umg28gclm5lqxtqqwk32uuk4k6673k6n5kfvx3d2h8s295fad45fdhmusm8sjudfhlf6dcsxmfvkeywmjdkxcp99202x";
const WITHOUT_SECRET: &str = "lnbc20m1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7xmw5fk98klysy043l2ahrqs9qrsgq7ea976txfraylvgzuxs8kgcw23ezlrszfnh8r6qtfpr6cxga50aj6txm9rxrydzd06dfeawfk6swupvz4erwnyutnjq7x39ymw6j38gp49qdkj";

fn read(text: &str) -> Bolt11 {
    Bolt11::parse(text).unwrap()
}

fn payment_hash() -> [u8; 32] {
    data_encoding::HEXLOWER.decode(PAYMENT_HASH.as_bytes()).unwrap().try_into().unwrap()
}

#[test]
fn the_specifications_invoices_are_read() {
    let text = |text: &str| Description::Text(text.to_owned());
    let hash = Description::Hash(sha256(
        b"One piece of chocolate cake, one icecream cone, one pickle, one slice of swiss cheese, one slice of salami, \
          one lollypop, one piece of cherry pie, one sausage, one cupcake, and one slice of watermelon",
    ));
    let hour = Duration::hours(1);
    let minute = Duration::minutes(1);
    for (invoice, network, amount_msat, description, lifetime) in [
        (DONATION, Network::Mainnet, None, text("Please consider supporting this project"), hour),
        (COFFEE, Network::Mainnet, Some(250_000_000), text("1 cup coffee"), minute),
        (COFFEE_IN_JAPANESE, Network::Mainnet, Some(250_000_000), text("ナンセンス 1杯"), minute),
        (HASHED, Network::Mainnet, Some(2_000_000_000), hash.clone(), hour),
        (TESTNET, Network::Testnet, Some(2_000_000_000), hash, hour),
        (WITH_FEATURES, Network::Mainnet, Some(2_500_000_000), text("coffee beans"), hour),
        (NAMED_PAYEE, Network::Mainnet, Some(1_000_000_000), text("payment metadata inside"), hour),
    ] {
        let expected = Bolt11 {
            network,
            amount_msat,
            payment_hash: payment_hash(),
            description,
            payee: PAYEE.parse().unwrap(),
            created_at: CREATED,
            expires_at: CREATED + lifetime,
        };
        assert_eq!(read(invoice), expected, "{invoice}");
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().unwrap()
}

#[test]
fn an_amount_may_be_given_in_tenths_of_a_millisatoshi_if_they_are_whole() {
    let invoice = read(PICO);
    assert_eq!(invoice.amount_msat, Some(967_878_534));
    assert_eq!(invoice.expires_at - invoice.created_at, Duration::seconds(604_800));
    assert_eq!(Bolt11::parse(BELOW_A_MILLISATOSHI), Err(Bolt11Error::BadAmount));
}

#[test]
fn an_invoice_in_upper_case_is_the_same_invoice() {
    for invoice in [DONATION, COFFEE, TESTNET, WITH_FEATURES] {
        assert_eq!(Bolt11::parse(&invoice.to_uppercase()), Ok(read(invoice)));
    }
    assert_eq!(Bolt11::parse(MIXED_CASE), Err(Bolt11Error::NotBech32));
}

#[test]
fn the_specifications_invalid_invoices_are_refused() {
    for (invoice, error) in [
        (UNKNOWN_FEATURE, Bolt11Error::Malformed),
        (WRONG_CHECKSUM, Bolt11Error::NotBech32),
        (WITHOUT_SEPARATOR, Bolt11Error::NotBech32),
        (UNRECOVERABLE, Bolt11Error::BadSignature),
        (TOO_SHORT, Bolt11Error::Malformed),
        (UNKNOWN_MULTIPLIER, Bolt11Error::BadAmount),
        (WITHOUT_SECRET, Bolt11Error::Malformed),
    ] {
        assert_eq!(Bolt11::parse(invoice), Err(error), "{invoice}");
    }
}

#[test]
fn what_is_no_invoice_is_refused() {
    for text in
        ["", "lnbc", "lnbc1", "1", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "lightning:lnbc1", "é"]
    {
        assert!(Bolt11::parse(text).is_err(), "{text}");
    }
    for (changed, why) in [(format!(" {COFFEE}"), "blank"), (format!("{COFFEE}\n"), "line end")] {
        assert_eq!(Bolt11::parse(&changed), Err(Bolt11Error::NotBech32), "{why}");
    }
    assert_eq!(Bolt11::parse(&"l".repeat(7090)), Err(Bolt11Error::TooLong));
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "(ln(bc|tb|tbs|bcrt|sb)[0-9]{0,25}[munpx]?1)?[ -~]{0,200}") {
        prop_assert!(Bolt11::parse(&text).is_err());
    }

    #[test]
    fn no_changed_character_goes_unnoticed(at in 0..COFFEE.len(), by in 1_u8..31) {
        let mut changed = COFFEE.as_bytes().to_vec();
        let symbols = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l1bio";
        let place = symbols.iter().position(|symbol| *symbol == changed[at]).unwrap_or_default();
        changed[at] = symbols[(place + usize::from(by)) % symbols.len()];
        prop_assume!(changed != COFFEE.as_bytes());
        prop_assert!(Bolt11::parse(str::from_utf8(&changed).unwrap()).is_err());
    }
}
