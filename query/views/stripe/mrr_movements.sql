-- What became of each customer's monthly recurring revenue in a month. opening + new + expansion + contraction + churn +
-- reactivation = closing, and a closing is the next month's opening.
WITH ends AS (
    SELECT month, customer_id, currency, mrr FROM mrr
    UNION ALL
    -- The month behind the last of a row of months is the one in which it is lost.
    SELECT (month + INTERVAL 1 MONTH)::DATE, customer_id, currency, 0::DECIMAL(38, 6)
    FROM mrr
    WHERE month < date_trunc('month', moment(seconds_of(now())))::DATE
),
closings AS (
    SELECT month, customer_id, currency, max(mrr) AS closing FROM ends GROUP BY ALL
),
pairs AS (
    SELECT
        closings.*,
        coalesce(before.mrr, 0::DECIMAL(38, 6)) AS opening,
        min(closings.month) OVER (PARTITION BY closings.customer_id, closings.currency) < closings.month AS is_known
    FROM closings
    LEFT JOIN mrr AS before
        ON before.customer_id IS NOT DISTINCT FROM closings.customer_id
        AND before.currency = closings.currency
        AND before.month = (closings.month - INTERVAL 1 MONTH)::DATE
)
SELECT
    month, customer_id, currency, opening,
    CASE WHEN opening = 0 AND NOT is_known THEN closing ELSE 0 END AS new,
    CASE WHEN opening > 0 AND closing > opening THEN closing - opening ELSE 0 END AS expansion,
    CASE WHEN closing > 0 AND closing < opening THEN closing - opening ELSE 0 END AS contraction,
    CASE WHEN closing = 0 THEN -opening ELSE 0 END AS churn,
    CASE WHEN opening = 0 AND is_known THEN closing ELSE 0 END AS reactivation,
    closing
FROM pairs
