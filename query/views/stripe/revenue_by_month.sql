-- The revenue of each item in the months of its service: evenly by the seconds of its period, rounded so that the months
-- add up to the item. What has no period belongs to the month in which it was paid.
WITH spans AS (
    SELECT
        *,
        CASE WHEN period_end > period_start THEN period_start ELSE recognized_at END AS begins,
        CASE WHEN period_end > period_start THEN period_end ELSE recognized_at + 1 END AS ends
    FROM items
),
months AS (
    SELECT
        *,
        unnest(
            generate_series(date_trunc('month', moment(begins)), moment(ends - 1), INTERVAL 1 MONTH)
        ) AS month
    FROM spans
),
parts AS (
    SELECT
        *,
        greatest(begins, seconds_of(month)) - begins AS before,
        least(ends, seconds_of(month + INTERVAL 1 MONTH)) - begins AS after
    FROM months
)
SELECT
    month::DATE AS month, item_id, kind, invoice_id, charge_id, customer_id, subscription_id, product_id, price_id,
    is_recurring, is_proration, currency,
    money(
        divided(amount::HUGEINT * after, ends - begins) - divided(amount::HUGEINT * before, ends - begins), currency
    ) AS amount,
    to_timestamp(recognized_at) AS recognized_at
FROM parts
