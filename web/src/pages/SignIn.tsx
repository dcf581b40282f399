import { useMutation, useQuery } from '@tanstack/react-query';
import { Alert, App, Button, Card, Divider, Form, Input, Space, Tabs } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, useSearchParams } from 'react-router';
import { body, client } from '../api/client';
import { problemOf } from '../api/problem';
import { authCall, forget, take, takeKey, useSession, type TokenAnswer } from '../api/session';
import { basename } from '../app/base';
import { Door } from '../app/Door';

type Fields = { username: string; password: string; totp?: string };
type Providers = { password: boolean; oidc: { name: string } | null; setup: boolean };

/** Only ways inside are followed after the sign-in. */
export function safeWay(to: string | null): string {
  return to?.startsWith('/') && !to.startsWith('//') && !to.startsWith('/\\') ? to : '/';
}

function ByPassword() {
  const { t } = useTranslation('access');
  const [needsCode, setNeedsCode] = useState(false);
  const signIn = useMutation({
    mutationFn: (fields: Fields) => authCall<TokenAnswer>('login', fields),
    onSuccess: take,
    onError: (error) => problemOf(error).code === 'totp_required' && setNeedsCode(true),
  });
  const problem = signIn.error ? problemOf(signIn.error) : undefined;
  const isShown = problem && !(problem.code === 'totp_required' && !signIn.variables?.totp);
  return (
    <Form layout="vertical" requiredMark={false} onFinish={(fields: Fields) => signIn.mutate(fields)}>
      {isShown && <Alert role="alert" type="error" showIcon style={{ marginBottom: 16 }} title={problem.status === 429 ? t('wait', { seconds: problem.retryAfterS ?? 1 }) : problem.message} />}
      <Form.Item name="username" label={t('username')} rules={[{ required: true, message: t('required') }]}>
        <Input autoFocus autoComplete="username" autoCapitalize="none" spellCheck={false} />
      </Form.Item>
      <Form.Item name="password" label={t('password')} rules={[{ required: true, message: t('required') }]}>
        <Input.Password autoComplete="current-password" />
      </Form.Item>
      {needsCode && (
        <Form.Item name="totp" label={t('code')} extra={t('codeHint')} rules={[{ required: true, message: t('required') }]}>
          <Input autoFocus autoComplete="one-time-code" inputMode="numeric" />
        </Form.Item>
      )}
      <Button block type="primary" htmlType="submit" loading={signIn.isPending}>{t('signIn')}</Button>
    </Form>
  );
}

function ByKey() {
  const { t } = useTranslation('access');
  const signIn = useMutation({
    mutationFn: async ({ key }: { key: string }) => {
      takeKey(key.trim());
      try {
        await body(client.get({ url: '/api/v1/me' }));
      } catch (error) {
        forget();
        throw error;
      }
    },
  });
  return (
    <Form layout="vertical" requiredMark={false} onFinish={(fields: { key: string }) => signIn.mutate(fields)}>
      {signIn.error && <Alert role="alert" type="error" showIcon style={{ marginBottom: 16 }} title={problemOf(signIn.error).message} />}
      <Form.Item name="key" label={t('key')} extra={t('keyHint')} rules={[{ required: true, message: t('required') }]}>
        <Input.Password autoComplete="off" spellCheck={false} />
      </Form.Item>
      <Button block type="primary" htmlType="submit" loading={signIn.isPending}>{t('keyUse')}</Button>
    </Form>
  );
}

export function Component() {
  const { t } = useTranslation('access');
  const session = useSession();
  const [params] = useSearchParams();
  const providers = useQuery({
    queryKey: ['providers'],
    queryFn: () => body(client.get<{ 200: Providers }, unknown, true>({ url: '/api/v1/auth/providers' })),
  });
  // While a key is tried it is no session yet: the form checks it first.
  const [isTrying] = useState(() => session.kind !== 'none');
  if (session.kind === 'token' || (session.kind === 'key' && isTrying)) return <Navigate to={safeWay(params.get('to'))} replace />;
  const oidc = providers.data?.oidc;
  const failed = params.get('error');
  return (
    <Door>
      <App>
        <Card style={{ width: '100%', maxWidth: 400 }}>
          {failed && <Alert type="error" showIcon role="alert" style={{ marginBottom: 16 }} title={failed} />}
          <Tabs
            centered
            items={[
              { key: 'password', label: t('byPassword'), children: <ByPassword /> },
              { key: 'key', label: t('byKey'), children: <ByKey /> },
            ]}
          />
          {oidc && (
            <Space orientation="vertical" style={{ width: '100%' }}>
              <Divider plain style={{ margin: '12px 0' }} />
              <Button block href={`${basename}/api/v1/auth/oidc/start?to=${encodeURIComponent(safeWay(params.get('to')))}`}>{t('sso', { name: oidc.name })}</Button>
            </Space>
          )}
        </Card>
      </App>
    </Door>
  );
}
