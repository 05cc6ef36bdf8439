-- Monthly recurring revenue: what is in force at the end of a month, or now in the month that is not over.
WITH months AS (
    SELECT
        *,
        unnest(generate_series(
            date_trunc('month', moment(period_start)),
            least(moment(ends), moment(seconds_of(now()))),
            INTERVAL 1 MONTH
        )) AS month
    FROM recurring
),
in_force AS (
    SELECT *, least(seconds_of(month + INTERVAL 1 MONTH), seconds_of(now())) AS instant
    FROM months
    WHERE period_start < instant AND ends >= instant
),
-- Of a period the last that was billed: a credit ends it, a part under a new price or quantity goes on with it.
periods AS (
    SELECT * FROM in_force
    QUALIFY row_number() OVER (
        PARTITION BY month, subscription_id, price_id, period_end
        ORDER BY period_start DESC, rank DESC, invoiced_at DESC, invoice_id DESC
    ) = 1
),
-- A price is in a subscription once, by the period that began last.
newest AS (
    SELECT * FROM periods
    QUALIFY row_number() OVER (
        PARTITION BY month, subscription_id, price_id ORDER BY period_start DESC, rank = 1, period_end DESC
    ) = 1
)
SELECT
    month::DATE AS month,
    customer_id,
    currency,
    sum(millionths)::DECIMAL(32, 0) * 0.000001::DECIMAL(6, 6) AS mrr,
    count(DISTINCT CASE WHEN millionths > 0 THEN subscription_id END) AS subscriptions
FROM newest
GROUP BY ALL
HAVING sum(millionths) > 0
