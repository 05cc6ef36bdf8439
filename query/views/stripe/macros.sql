-- What the views of this folder share. Amounts of Stripe are whole numbers of a currency's smallest unit.

-- How many digits of a Stripe amount are behind the point: https://docs.stripe.com/currencies. ISK and UGX have two
-- there, which always are 00.
CREATE TEMP MACRO decimals_of(currency) AS CASE
    WHEN lower(currency) IN (
        'bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf'
    ) THEN 0
    WHEN lower(currency) IN ('bhd', 'jod', 'kwd', 'omr', 'tnd') THEN 3
    ELSE 2
END;

CREATE TEMP MACRO thousandths(amount, currency) AS
    amount::HUGEINT * CASE decimals_of(currency) WHEN 0 THEN 1000 WHEN 3 THEN 1 ELSE 10 END;

-- An amount in the currency itself, exactly.
CREATE TEMP MACRO money(amount, currency) AS
    thousandths(amount, currency)::DECIMAL(34, 0) * 0.001::DECIMAL(4, 3);

-- A quotient of whole numbers as a whole number, halves away from zero. The divisor is positive.
CREATE TEMP MACRO divided(number, divisor) AS CASE
    WHEN number >= 0 THEN (2 * number::HUGEINT + divisor) // (2 * divisor::HUGEINT)
    ELSE -((2 * -number::HUGEINT + divisor) // (2 * divisor::HUGEINT))
END;

-- Seconds since 1970 as a time without a zone, which is UTC.
CREATE TEMP MACRO moment(seconds) AS make_timestamp(seconds * 1000000);

CREATE TEMP MACRO seconds_of(moment) AS epoch_us(moment) // 1000000;
