import { useQuery } from '@tanstack/react-query';
import { Alert, Card, Space, Tag, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { getSystemNetwork } from '../../api/gen';
import { Loaded } from '../../components/basics';
import { useFormat } from '../../components/format';
import { Facts, Section } from './parts';

const LIMITS = ['address', 'open', 'failures', 'key', 'user'] as const;

/** A value that a setting has, with the name to change it by. */
function Set({ name, children }: { name: string; children: React.ReactNode }) {
  return <div>{children}<div><Typography.Text type="secondary" className="mono">{name}</Typography.Text></div></div>;
}

export default function Network() {
  const { t } = useTranslation('settings');
  const format = useFormat();
  const query = useQuery({ queryKey: ['network'], queryFn: ({ signal }) => body(getSystemNetwork({ signal, throwOnError: true })) });
  const list = (values: string[], none: string) => values.length ? <Space wrap size={4}>{values.map((one) => <Tag key={one} className="mono">{one}</Tag>)}</Space> : none;
  return (
    <Section title={t('section.network')} sub={t('network.sub')}>
      <Loaded query={query}>
        {(network) => (
          <>
            <Card size="small" title={t('network.you')}>
              <Facts
                rows={[
                  [t('network.address'), <strong key="a" className="mono">{network.caller.address}</strong>],
                  [t('network.scheme'), network.caller.scheme],
                  [t('network.peer'), <span key="p"><span className="mono">{network.caller.peer}</span> {network.caller.is_peer_trusted && <Tag color="success">{t('network.trusted')}</Tag>}</span>],
                ]}
              />
              {network.caller.peer === network.caller.address && <Typography.Text type="secondary">{t('network.direct')}</Typography.Text>}
            </Card>
            <Card size="small" title={t('network.rules')}>
              {network.admin_networks.length === 0 && <Alert type="info" showIcon style={{ marginBottom: 12 }} title={t('network.openAdmin')} />}
              <Facts
                rows={[
                  [t('network.admin'), <Set key="a" name="LLMS_ADMIN_NETWORKS">{list(network.admin_networks, t('keys.everywhere'))}</Set>],
                  [t('network.proxies'), <Set key="p" name="LLMS_TRUSTED_PROXIES">{list(network.trusted_proxies, t('none'))}</Set>],
                  [t('network.sites'), <Set key="s" name="LLMS_CORS_ORIGINS">{list(network.cors_origins, t('none'))}</Set>],
                  [t('network.https'), <Set key="h" name="LLMS_REQUIRE_HTTPS">{t(network.is_https_required ? 'yes' : 'no')}</Set>],
                  [t('network.hsts'), <Set key="t" name="LLMS_HSTS_SECONDS">{network.hsts_seconds ? format.duration(network.hsts_seconds * 1000) : t('no')}</Set>],
                ]}
              />
            </Card>
            <Card size="small" title={t('network.limits')}>
              <Facts
                rows={LIMITS.map((name) => [
                  t(`network.limit.${name}`),
                  <Set key={name} name={`LLMS_RATE_LIMIT_${name.toUpperCase()}_RPM`}>{network.rate_limits_rpm[name] ? format.number(network.rate_limits_rpm[name]) : t('unlimited')}</Set>,
                ])}
              />
            </Card>
          </>
        )}
      </Loaded>
    </Section>
  );
}
