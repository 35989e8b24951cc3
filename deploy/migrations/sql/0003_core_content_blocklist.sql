-- The content rules that a new installation starts with: few, and each one safe to enforce on the first day.
-- Staff add to them and take from them through the API; this file is never edited again, a later migration is.
-- What they mean and how they are matched: sema_content_checker. Words are matched whatever their accents, case,
-- look-alike letters or spacing; whole_word = false also inside longer words.
INSERT INTO core.content_blocklist (kind, value, language, whole_word)
VALUES
    ('shortener', 'adf.ly', 'any', true),
    ('shortener', 'bit.do', 'any', true),
    ('shortener', 'bit.ly', 'any', true),
    ('shortener', 'bitly.com', 'any', true),
    ('shortener', 'buff.ly', 'any', true),
    ('shortener', 'clck.ru', 'any', true),
    ('shortener', 'cutt.ly', 'any', true),
    ('shortener', 'goo.gl', 'any', true),
    ('shortener', 'is.gd', 'any', true),
    ('shortener', 'j.mp', 'any', true),
    ('shortener', 'lnkd.in', 'any', true),
    ('shortener', 'ow.ly', 'any', true),
    ('shortener', 'rb.gy', 'any', true),
    ('shortener', 'rebrand.ly', 'any', true),
    ('shortener', 's.id', 'any', true),
    ('shortener', 'shorturl.at', 'any', true),
    ('shortener', 't.co', 'any', true),
    ('shortener', 't.ly', 'any', true),
    ('shortener', 'tiny.cc', 'any', true),
    ('shortener', 'tinyurl.com', 'any', true),
    ('shortener', 'v.gd', 'any', true),

    ('word', 'fuck', 'en', false),
    ('word', 'shit', 'en', true),
    ('word', 'bullshit', 'en', true),
    ('word', 'bitch', 'en', true),
    ('word', 'asshole', 'en', true),
    ('word', 'cunt', 'en', true),
    ('word', 'whore', 'en', true),
    ('word', 'malaya', 'sw', true),
    ('word', 'matako', 'sw', true),
    ('word', 'msenge', 'sw', true),
    ('word', 'kumamako', 'sw', true),
    ('word', 'kumanina', 'sw', true),
    ('word', 'putain', 'fr', true),
    ('word', 'salope', 'fr', true),
    ('word', 'enculé', 'fr', true),
    ('word', 'connard', 'fr', true),
    ('word', 'connasse', 'fr', true),

    ('word', 'win free money', 'en', true),
    ('word', 'free mpesa', 'en', true),
    ('word', 'double your mpesa', 'en', true),
    ('word', 'illuminati', 'any', true),
    ('word', 'pesa za bure', 'sw', true),
    ('word', 'argent facile', 'fr', true),

    -- "send 500 … and receive 5,000": an advance fee, whatever the sums.
    ('pattern', 'send (kes|ksh|ugx|tzs|ngn|ghs)?\.? ?[0-9][0-9,. ]{1,11}.{0,40}(receive|get|win) (kes|ksh|ugx|tzs|ngn|ghs)?\.? ?[0-9]', 'en', true),
    -- A "loan officer" who wants a deposit first.
    ('pattern', 'loan (is )?approved.{0,80}(deposit|pay|send) .{0,40}(first|fee|to (release|receive))', 'en', true);
