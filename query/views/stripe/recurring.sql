-- What recurring prices were billed for, and what each is worth in a month: in millionths of the currency.
--
-- rank: 0 a period as it is billed in advance, 1 the credit for the rest of one that was given up, 2 the rest of a period
-- under a new price or quantity. Lines of one price and period, as tiers have them, are one.
WITH offered AS (
    SELECT id, unit_amount, billing_scheme, transform_quantity, recurring FROM prices
    UNION ALL
    SELECT id, unit_amount, billing_scheme, transform_quantity, recurring FROM inactive_prices
    UNION ALL
    SELECT item.price.id, item.price.unit_amount, item.price.billing_scheme, item.price.transform_quantity,
        item.price.recurring
    FROM (SELECT unnest(from_json(items, '{"data": [{"price": {
        "id": "VARCHAR", "unit_amount": "BIGINT", "billing_scheme": "VARCHAR", "transform_quantity": "JSON",
        "recurring": "JSON"
    }}]}').data) AS item FROM subscriptions)
),
known AS (
    SELECT
        id,
        any_value(CASE
            WHEN billing_scheme = 'per_unit' AND coalesce(json_type(transform_quantity), 'NULL') = 'NULL' THEN unit_amount
        END) AS unit_amount,
        any_value(recurring ->> '$.usage_type') AS usage_type,
        any_value(recurring ->> '$.interval') AS unit,
        any_value((recurring ->> '$.interval_count')::BIGINT) AS units
    FROM offered
    GROUP BY id
),
rates AS (
    SELECT
        *,
        CASE unit
            WHEN 'day' THEN to_days(units::INTEGER)
            WHEN 'week' THEN to_weeks(units::INTEGER)
            WHEN 'month' THEN to_months(units::INTEGER)
            WHEN 'year' THEN to_years(units::INTEGER)
        END AS length,
        CASE unit WHEN 'day' THEN 365 WHEN 'week' THEN 52 WHEN 'month' THEN 1 WHEN 'year' THEN 1 END AS times,
        CASE unit WHEN 'month' THEN units ELSE 12 * units END AS parts
    FROM known
),
billed AS (
    SELECT
        * EXCLUDE (lines, currency, subscription_id),
        CASE
            WHEN is_cut AND subscription_id IS NOT NULL AND (SELECT count(*) FROM invoice_line_items) = 0
            THEN error(
                'An invoice has more than ten lines: enable the table invoice_line_items of the source, without which '
                || 'the monthly recurring revenue is not known.'
            )
            ELSE unnest(lines)
        END AS line
    FROM invoiced
    WHERE status IN ('paid', 'open') OR (status = 'draft' AND auto_advance)
),
lines AS (
    SELECT
        customer AS customer_id, line.currency, line.subscription_id, coalesce(line.price_id, '') AS price_id,
        line.period_start, line.period_end,
        least(line.period_end, coalesce(subscriptions.ended_at, line.period_end)) AS ends,
        CASE WHEN line.is_proration AND line.gross < 0 THEN 1 WHEN line.is_proration THEN 2 ELSE 0 END AS rank,
        billed.id AS invoice_id, billed.created AS invoiced_at,
        sum(line.gross - line.discount) AS amount,
        CASE WHEN count(*) = 1 THEN any_value(rates.unit_amount * line.quantity) END AS list_amount,
        any_value(rates.length) AS length, any_value(rates.times) AS times, any_value(rates.parts) AS parts
    FROM billed
    LEFT JOIN subscriptions ON subscriptions.id = line.subscription_id
    LEFT JOIN rates ON rates.id = line.price_id
    WHERE line.subscription_id IS NOT NULL
        AND (line.is_of_subscription OR line.is_proration)
        AND line.period_end > line.period_start
        AND coalesce(rates.usage_type, '') <> 'metered'
        AND (
            billed.status = 'paid'
            OR coalesce(subscriptions.status, 'active') IN ('active', 'past_due', 'trialing')
            OR (billed.status = 'open' AND subscriptions.status IN ('paused', 'canceled'))
        )
    GROUP BY ALL
),
judged AS (
    SELECT
        *,
        rank = 2 OR coalesce(period_end < seconds_of(moment(period_start) + length) - 86400, false) AS is_part,
        seconds_of(moment(period_end) - length) AS nominal_start
    FROM lines
),
placed AS (
    SELECT
        *,
        max(CASE WHEN rank = 0 AND NOT is_part THEN period_start END) OVER (
            PARTITION BY subscription_id, period_end ORDER BY period_start
        ) AS billed_start
    FROM judged
),
whole AS (
    SELECT
        *,
        period_end - period_start AS part,
        period_end - CASE
            WHEN NOT is_part THEN period_start
            -- The period that it is a part of; of months of different lengths the one that was billed.
            WHEN abs(billed_start - nominal_start) > 4 * 86400 THEN nominal_start
            ELSE coalesce(billed_start, nominal_start, period_start)
        END AS period
    FROM placed
),
valued AS (
    SELECT
        *,
        divided(period * 12, 365 * 86400) AS months,
        CASE
            WHEN rank = 1 THEN 0
            WHEN NOT is_part THEN amount
            -- Parts are billed in whole units: where it is the price's own amount but for that, it is that amount.
            WHEN abs(amount * period - list_amount * part) <= period THEN list_amount
            ELSE divided(amount * period, part)
        END AS for_period
    FROM whole
)
SELECT
    customer_id, currency, subscription_id, price_id, period_start, period_end, ends, rank, invoice_id, invoiced_at,
    CASE
        WHEN times IS NOT NULL THEN divided(thousandths(for_period, currency) * 1000 * times, parts)
        WHEN months >= 1 AND abs(period - months * 365 * 86400 // 12) <= 4 * 86400
            THEN divided(thousandths(for_period, currency) * 1000, months)
        ELSE divided(thousandths(for_period, currency) * 1000 * 365 * 86400, 12 * period)
    END AS millionths
FROM valued
